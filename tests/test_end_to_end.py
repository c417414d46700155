"""The whole pipeline, from seed images and prompts to a folder that a trainer reads."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasets import load_dataset

import pipeline
from demo.collection import MARKER, make_collection
from demo.evaluate import evaluate, read_truth
from demo.host import ADDRESS, serving
from demo.index import build_index
from demo.newest_run import newest_run, read_rows
from demo.prepare import DemoFiles
from demo.report import FIELDS, seed_subjects
from demo.run import ARGUMENTS
from demo.seeds import make_seeds
from demo.tiny_models import BLIP_FOLDER, CLIP_FOLDER
from fondant_spec.dataset.lineage import lineage
from fondant_spec.dataset.validate import validate

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),  # eight real steps, on a machine that may be busy
]

PAGES = 600  # a fifth of the demo's; `make demo` looks at all of them
REPOSITORY = Path(pipeline.__file__).parent


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoFiles]:
    """The demo's data in small, which is served on a port of its own."""
    with socket.socket() as held:  # not listening, so that the host can have the port, and only it
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((ADDRESS, 0))
        port = held.getsockname()[1]
        root = make_collection(tmp_path_factory.mktemp("demo"), pages=PAGES, port=port)
        make_seeds(root)
        build_index(root)
        yield DemoFiles(root)


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    """Return a function that runs the pipeline file on the demo's data, from both starts."""
    base_path = tmp_path_factory.mktemp("base")
    environment = {
        "DATASET_NAME": str(files.seeds),
        "PROMPTS": "demo/prompts.yaml",
        "CLIP_MODEL": str(CLIP_FOLDER),
        "INDEX": str(files.index),
        "CAPTION_MODEL": str(BLIP_FOLDER),
        "HF_HUB_OFFLINE": "1",
        "PATH": "",
        "PYTHONPATH": str(REPOSITORY),
    }
    settings = [f"--set={name}={word}" for name, word in ARGUMENTS.items()]
    port = json.loads((files.root / MARKER).read_text())["config"]["port"]

    def run_it(*words: str) -> str:
        command = [sys.executable, "pipeline.py", "--base-path", str(base_path), *settings, *words]
        with serving(files.root, port):
            result = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                cwd=REPOSITORY,
                env=environment,
            )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run_it, base_path


@pytest.fixture(scope="module")
def manifests(run):
    """Return the manifests of one run, by step id."""
    run_it, base_path = run
    run_it()
    return newest_run(str(base_path))


def test_the_dataset_is_good(files, manifests):
    """At least 95 % of the images show what the seed or prompt does, and of captions name it."""
    subjects = seed_subjects(manifests, files.root)
    rows = read_rows(manifests["caption_images"], FIELDS)
    told = [
        {"subject": subjects[row["seed_id"]], "url": row["image_url"], "caption": row["caption"]}
        for row in rows
    ]
    score = evaluate(told, read_truth(files.truth)).overall

    assert score.rows > 200
    assert score.precision >= 0.95
    assert score.caption_accuracy >= 0.95


def test_no_row_is_lost(manifests):
    """What goes into a step comes out or is rejected with a reason, and every file is as told."""
    for step_id, manifest in manifests.items():
        if step_id != "laion_retrieval":
            assert manifest.rows_in == manifest.rows + sum(manifest.rejects.values()), step_id
        assert validate(manifest) == []
    assert {"http_404", "truncated", "not_an_image"} <= set(manifests["download_images"].rejects)


def test_a_caption_leads_back_to_its_seed(manifests):
    """The lineage of a row names model, file, URL, similarity and seed, step by step."""
    captions = manifests["caption_images"]
    row_id = captions.partitions[0].first_id
    told = lineage(captions, row_id)

    for word in ("caption: ", "model_id", "sha256: ", "final_url: ", "similarity: ", "rank: "):
        assert word in told
    assert told.splitlines()[-1].startswith("  image_height: ")


def test_the_training_set_loads(manifests):
    """`datasets` reads the exported folder, with as many pairs as there are captions."""
    folder = manifests["export_dataset"].folder + "/output"
    dataset = load_dataset("imagefolder", data_dir=folder, drop_labels=False)["train"]

    assert {"image", "text"} <= set(dataset.column_names)
    assert len(dataset) == manifests["caption_images"].rows


def test_a_second_run_is_all_hits(run, manifests):
    """Nothing runs twice; with another argument, only its step and those after it run."""
    run_it, _ = run
    again = run_it()
    changed = run_it("--dry-run", "--set=caption_images.num_beams=2")

    assert again.count("already done") == len(manifests)
    told = {line.split(":")[0]: line for line in changed.splitlines() if ": " in line}
    assert "a hit" in told["download_images"]
    assert "arguments.num_beams: None became 2" in told["caption_images"]
    assert "a hit" not in told["export_dataset"]
