"""The demo's own command line: its settings, and what it leaves to the user."""

import subprocess
import sys
from pathlib import Path

import pytest

import demo
from demo.prepare import DemoFiles
from demo.run import ARGUMENTS, adapt, configure, prepared
from fondant_spec.errors import InvalidConfigError
from pipeline import build
from pipeline_configs import PipelineConfigs

REPOSITORY = Path(demo.__file__).parents[1]


def test_the_settings():
    """With nothing set, everything points at the demo; a start from prompts takes the images'."""
    configs = configure({})
    assert (configs.DATASET_NAME, configs.INDEX) == ("artifacts/demo/seeds", "artifacts/demo/index")
    assert str(demo.CLIP_FOLDER) == configs.CLIP_MODEL
    assert str(demo.BLIP_FOLDER) == configs.CAPTION_MODEL
    assert configure({"PROMPTS": "demo/prompts.yaml"}).DATASET_NAME == ""


def test_models_of_the_users_own():
    """What the user says of models and places stands."""
    given = {"CLIP_MODEL": "my/clip", "CAPTION_MODEL": "my/blip", "BASE_PATH": "s3://x"}
    configs = configure(given)
    assert {name: getattr(configs, name) for name in given} == given


@pytest.mark.parametrize("name", ["DATASET_NAME", "INDEX", "INDEX_URL"])
def test_what_is_the_demos_own(name):
    """Seeds and an index of the user's are not silently left aside."""
    with pytest.raises(InvalidConfigError) as caught:
        configure({name: "mine"})
    assert str(caught.value) == (
        f"{name} is set, but the demo has seed images and an index of its own; unset it, or run "
        "pipeline.py."
    )


def test_an_index_needs_its_model_here():
    """The index is made with CLIP_MODEL, so a model that is not here is refused."""
    with pytest.raises(InvalidConfigError, match="must be a local folder with"):
        prepared(PipelineConfigs(CLIP_MODEL="openai/clip-vit-large-patch14"))


def test_where_the_files_lie(collection, seeds, index):
    """The settings name what is made."""
    files = DemoFiles(collection)
    assert (files.seeds, files.index) == (seeds, index)
    assert files.truth.is_file()


def test_it_is_the_same_pipeline(tmp_path):
    """The demo changes arguments of pipeline.py's steps, and no step."""
    configs = PipelineConfigs(BASE_PATH=str(tmp_path), DATASET_NAME="user/seeds", INDEX="x.npy")
    plain, adapted = build(configs).steps, adapt(build(configs)).steps
    assert list(plain) == list(adapted)
    changed = {
        f"{name}.{argument}"
        for name, step in adapted.items()
        for argument, value in step.arguments.items()
        if value != plain[name].arguments[argument]
    }
    assert changed == set(ARGUMENTS)


def test_a_dry_run_loads_no_model(tmp_path):
    """A dry run tells the plan without making files or loading torch, whatever HOST is."""
    program = (
        "import sys; from demo.run import main; "
        "code = main(['--dry-run']); "
        "heavy = {'aiohttp', 'faiss', 'pandas', 'skimage', 'torch', 'transformers'}; "
        "print(heavy & set(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "HOST": "x86_64-conda-linux-gnu"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"pipeline stable-diffusion at {tmp_path}/artifacts\n")
    assert done.stdout.endswith("\nset()\n")
    assert list(tmp_path.iterdir()) == []
