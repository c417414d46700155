"""pipeline.py and its settings: what is set where, and the errors for what is missing."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import pipeline
from fondant_spec.errors import FondantError, InvalidConfigError
from pipeline_configs import PipelineConfigs

FILE = Path(pipeline.__file__)
MODULES = "{'demo', 'explorer', 'torch', 'transformers', 'dask', 'kfp', 'requests'}"


def start(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run pipeline.py with nothing else in its environment."""
    command = [sys.executable, str(FILE), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_nothing_set():
    """It says in two lines what to set, and that `make demo` shows it."""
    done = start()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: set DATASET_NAME to seed images or PROMPTS to prompts, and INDEX or INDEX_URL to "
        "what is searched (see pipeline_configs.py).\n"
        "`make demo` runs the pipeline on data of its own, offline.\n"
    )


def test_describing_it_loads_no_engine():
    """The recipe knows no demo and no explorer, and nothing that only runs need."""
    program = f"import sys, pipeline; print({MODULES} & set(sys.modules))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=FILE.parent)
    assert done.stdout == "set()\n"


def test_a_public_index_brings_its_model():
    """INDEX=datacomp-small is enough: the seeds are embedded by the model of its vectors."""
    done = start("--dry-run", DATASET_NAME="user/seeds", INDEX="datacomp-small")
    assert done.returncode == 0, done.stderr
    assert "laion/CLIP-ViT-B-32-laion2B-s34B-b79K" in done.stdout
    assert "hf://datasets/fondant-ai/datacomp-small-clip" in done.stdout


SET = {"DATASET_NAME": "user/seeds", "INDEX_URL": "http://knn.example.com"}


@pytest.mark.parametrize(
    ("words", "settings", "message"),
    [
        ([], {"INDEX": "vectors.npy"}, "both INDEX (vectors.npy) and INDEX_URL (http://knn.examp"),
        ([], {"INDEX_URL": ""}, "no index to search: set INDEX to datacomp-small, a public one "),
        (["--base-path", ""], {}, "the base path (BASE_PATH, --base-path) is empty; name a folder"),
        ([], {"BASE_PATH": ""}, "the base path (BASE_PATH, --base-path) is empty; name a folder"),
        ([], {"HOST": "http://kfp", "KUBEFLOW_SECRETS": "x"}, "KUBEFLOW_SECRETS must be VARIABLE="),
        ([], {"HOST": "http://kfp", "KUBEFLOW_PULL_POLICY": "x"}, "KUBEFLOW_PULL_POLICY must be "),
    ],
)
def test_settings_that_do_not_fit(words, settings, message):
    """What is wrong with the settings is one line, without a traceback."""
    done = start("--dry-run", *words, **(SET | settings))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_the_base_path_of_the_command_line():
    """The option comes before the variable."""
    done = start("--dry-run", "--base-path", "memory://one", BASE_PATH="memory://two", **SET)
    assert done.stdout.startswith("pipeline stable-diffusion at memory://one\n")
    done = start("--dry-run", BASE_PATH="memory://two", **SET)
    assert done.stdout.startswith("pipeline stable-diffusion at memory://two\n")


def test_both_starts():
    """Images and prompts may begin together; either is enough."""
    configs = PipelineConfigs(**SET, PROMPTS=pipeline.INTERIOR_DESIGN)
    assert list(pipeline.build(configs).steps)[:4] == [
        "load_from_hub",
        "image_embedding",
        "generate_prompts",
        "text_embedding",
    ]
    with pytest.raises(InvalidConfigError, match="set DATASET_NAME to seed images or PROMPTS"):
        pipeline.build(PipelineConfigs(INDEX="vectors.npy"))


def test_a_class_is_one_more_start():
    """Its prompt is embedded, retrieved by, and kept with what it finds; without it nothing is."""
    steps = pipeline.build(PipelineConfigs(**SET, CLASS_PROMPT="a photo of a dog")).steps
    assert list(steps)[:4] == ["load_from_hub", "image_embedding", "class_prompt", "text_embedding"]
    assert steps["class_prompt"].arguments["class_prompt"] == "a photo of a dog"
    assert steps["laion_retrieval"].after == ("image_embedding", "text_embedding")
    done = start("--dry-run", CLASS_PROMPT="a photo of a dog", **SET)
    assert done.returncode == 0
    assert "class_prompt" not in pipeline.build(PipelineConfigs(**SET)).steps


def test_a_negative_prompt_is_mixed_into_every_seed():
    """It is embedded like a prompt, and the mixes are looked up; the class is not led away."""
    given = {"NEGATIVE_PROMPT": "a drawing", "CLASS_PROMPT": "a photo of a dog"}
    steps = pipeline.build(PipelineConfigs(**SET, **given)).steps
    assert steps["mix_embeddings"].after == ("image_embedding", "text_embedding")
    assert steps["negative_prompt"].arguments["weight"] == pipeline.NEGATIVE_WEIGHT
    assert steps["laion_retrieval"].after == ("mix_embeddings", "text_embedding_2")
    assert start("--dry-run", **given, **SET).returncode == 0


@pytest.mark.parametrize(
    ("wanted", "scores"),
    [
        ("usual", {"blur", "flatness", "text_area"}),
        ("contrast > 0.1 AND image_width > 300", {"contrast"}),
        ("image_width > 300", None),
        ("IMAGE_WIDTH > 300 AND Blur > 0.1 AND id LIKE '0%'", {"blur"}),
    ],
)
def test_curation(wanted, scores):
    """One setting leaves out copies and what is not wanted; what it does not name is not scored."""
    plan = pipeline.build(PipelineConfigs(**SET, CURATE=wanted)).plan("run")
    steps = [step.id for step in plan.steps]
    before = steps[steps.index("download_images") + 1 : steps.index("caption_images")]
    wished = ["score_images", "deduplicate_images", *["score_images_2"] * bool(scores)]
    assert before == [*wished, "filter_rows"]
    first = next(step for step in plan.steps if step.id == "score_images")
    assert set(first.step.produces) == {
        "inner_phash",
        "mirrored_phash",
        "border",
    }  # the hash of what was fetched stays
    if scores:
        again = next(step for step in plan.steps if step.id == "score_images_2")
        assert set(again.step.produces) == scores


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("blurr > 0.1", "filter_rows: there is no field 'blurr' at this point."),
        ("blur >", "CURATE is no SQL expression: "),
        ("usul", "filter_rows: there is no field 'usul' at this point."),
        ("blur > 0.1, 1", "CURATE must be one expression"),
    ],
)
def test_curation_by_what_is_not_there(wanted, message):
    """It is found out when the plan is made, and not behind hours of downloads."""
    with pytest.raises(FondantError) as caught:
        pipeline.build(PipelineConfigs(**SET, CURATE=wanted)).plan("run")
    assert str(caught.value).startswith(message)


def test_every_setting_is_a_variable():
    """Each setting is read from the environment under its own name; others are left alone."""
    names = [setting.name for setting in fields(PipelineConfigs)]
    environment = {name: f"value of {name}" for name in names} | {"PATH": "/bin"}
    configs = PipelineConfigs.from_environment(environment)
    assert [getattr(configs, name) for name in names] == [f"value of {name}" for name in names]
    assert PipelineConfigs.from_environment({}) == PipelineConfigs()


def test_secrets_are_in_no_text():
    """A token or cookie does not show where the settings are printed."""
    configs = PipelineConfigs(KUBEFLOW_TOKEN="abc", KUBEFLOW_COOKIE="session")
    assert not any(secret in repr(configs) for secret in ("abc", "session"))
