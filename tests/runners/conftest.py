"""Fixtures shared by the runners' tests.

Tests that need a container engine are skipped, with the reason, if there is none;
CONTAINERS=required makes that a failure.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

import pipeline
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import FondantError
from fondant_spec.runners.container_engine import Engine, find_engine
from fondant_spec.runners.image_lock import Image, image_of, read_lock
from fondant_spec.spec.component_spec import ComponentSpec
from tests.small import COMPONENTS

if TYPE_CHECKING:  # which needs Kubeflow's own package
    from tests.runners.kfp_server import KfpServer
    from tests.runners.kubeflow_runs import Launch

ROOT = Path(__file__).parents[2]
NAMES = sorted(spec.parent.name for spec in (ROOT / "components").glob("*/fondant_component.yaml"))
CODE = (
    "from fondant_spec.dataset.code_digest import code_digest as digest; "
    "from fondant_spec.spec.component_spec import ComponentSpec as Spec; "
    "from fondant_spec.worker.component_code import component_class; "
    "from pathlib import Path; import os, tempfile; "
    "component_class(Path('/component')); tempfile.TemporaryFile(dir=os.environ['HF_HOME']); "
    "print(digest(Spec.from_file('/component')))"
)
"""Loads a component's class, writes to the model cache, and tells the digest of the code."""


def call(*words: str, **options: object) -> str:
    """Run a command, which must succeed, and return what it printed."""
    done = subprocess.run(words, check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def lacking(reason: str) -> NoReturn:
    """Leave a test out, or fail it where containers are required, with the reason."""
    text = f"NO CONTAINERS WERE TESTED: {reason}"
    if os.environ.get("CONTAINERS") == "required":
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Return the container engine of this machine."""
    try:
        return find_engine()
    except FondantError as error:
        lacking(str(error))


@pytest.fixture(scope="session")
def images(engine: Engine) -> dict[str, Image]:
    """Return the images of the components, which must be of the code at hand."""
    lock = ROOT / "images.lock"
    found = read_lock(lock) if lock.exists() else {}
    command = "bash build_images.sh -C all"
    if missing := [name for name in NAMES if name not in found]:
        lacking(f"there is no image of {', '.join(missing)}; run: {command}")
    if subprocess.run(
        [engine.program, "image", "inspect", *(image.here for image in found.values())],
        check=False,
        capture_output=True,
    ).returncode:
        lacking(f"images that were built are gone from this engine; run: {command}")
    return found


@pytest.fixture(scope="session")
def small_images(engine: Engine, images: dict[str, Image]) -> None:
    """Build images of the small components of these tests, under the names in their specs."""
    for folder in sorted(COMPONENTS.iterdir()):
        if not (folder / "fondant_component.yaml").exists():
            continue
        dockerfile = (
            f"FROM {images['generate_prompts'].here}\nUSER 0\nRUN rm -r /component/*\n"
            f"COPY . /component\nRUN rm -rf /component/src/__pycache__\nUSER 1000:1000\n"
        )
        name = image_of(ComponentSpec.from_file(folder)).name
        command: Sequence[str] = (engine.program, "build", "-q", "-t", name, "-f", "-", ".")
        call(*command, input=dockerfile, cwd=folder)


@pytest.fixture(scope="session")
def demo(images: dict[str, Image], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run the whole demo in containers and without; return the base path of each."""
    assert len(images) >= len(NAMES)
    bases = {name: tmp_path_factory.mktemp("demo") / name for name in ("docker", "local")}
    for name, base in bases.items():
        call(
            *(sys.executable, "-m", "demo.run", "--runner", name, "--base-path", str(base)),
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    return bases


def final(base: Path) -> Manifest:
    """Return the dataset after the demo's last step."""
    [file] = base.glob("stable-diffusion/export_dataset/*/manifest.json")
    return Manifest.read(str(file))


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Launch":
    """Return what runs `python pipeline.py` against a server.

    It returns the exit code, and the lines on stdout and stderr; the server's address and the
    run's id are left out of these.
    """
    settings = {
        "BASE_PATH": "memory://base",
        "DATASET_NAME": "user/seeds",
        "INDEX_URL": "http://knn.example.com",
        "KUBEFLOW_INTERVAL": "0.01",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    # Images that were built in this checkout may hold other code than it has now.
    monkeypatch.setattr("fondant_spec.runners.image_lock.LOCK_FILE", "images.lock.of_tests")

    def run(server: "KfpServer", *words: str) -> tuple[int, list[str], list[str]]:
        monkeypatch.setenv("HOST", server.url)
        code = pipeline.main([*words])
        texts = list(capsys.readouterr())
        for run_id in server.runs:
            texts = [text.replace(server.url, "URL").replace(run_id, "RUN") for text in texts]
        out, err = (text.splitlines() for text in texts)
        return code, out, err

    return run


def assert_same_rows(found: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> None:
    """Assert that two runs gave the same rows, whatever their times and numbers of threads.

    With another number of threads, a CPU without AVX-512 gives vectors other last bits.
    """
    for row, other in zip(found, others, strict=True):
        assert row["similarity"] == pytest.approx(other["similarity"], rel=1e-6)
        theirs = {name: other[name] for name in ("fetched_at", "similarity")}
        assert {**row, **theirs} == other
