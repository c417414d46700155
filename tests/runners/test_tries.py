"""A step is retried after a temporary failure, and ends at once after any other."""

from pathlib import Path

import pytest

from fondant_spec.errors import StepFailedError
from fondant_spec.pipeline import Pipeline, Resources
from fondant_spec.runners import LocalRunner
from fondant_spec.worker import tries
from fondant_spec.worker.tries import Tries
from tests.image_toolkit.retrieval.service.faulty_service import FaultyService, hits, serving
from tests.moved_clock import MovedClock

ROOT = Path(__file__).parents[2]
VECTORS = {
    "fondant_component.yaml": """
name: Vectors
description: Three vectors.
image: fondant/vectors:dev
produces: {embedding: {type: array, items: {type: float32}}}
""",
    "src/main.py": """
import pyarrow as pa
from fondant_spec.component import LoadComponent
from fondant_spec.executor import execute

class Vectors(LoadComponent):
    def load(self, context):
        vectors = pa.array([[n / 1000, 1.0] for n in (1, 2, 3)], pa.list_(pa.float32()))
        yield pa.record_batch({"id": ["1", "2", "3"], "embedding": vectors})

if __name__ == "__main__":
    execute(Vectors)
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with a component that loads three vectors, and a base path."""
    folder = tmp_path_factory.mktemp("tries")
    for name, text in VECTORS.items():
        file = folder / "vectors" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def search(folder: Path, url: str, said: list[str], **resources: object) -> int:
    """Search an index for the vectors; return the number of rows. What is said goes to a list."""
    pipeline = Pipeline("p", folder / "base")
    pipeline.add(
        ROOT / "components" / "laion_retrieval",
        after=pipeline.add(folder / "vectors"),
        arguments={"url": url, "retries": 0, "queries_per_second": 0},
        resources=Resources(backoff=0.01, **resources),
        workers=1,
    )
    return LocalRunner().run(pipeline.plan(), said.append)[-1].manifest.rows


@pytest.mark.parametrize(("away", "tries"), [(range(2), 2), (range(2, 6), 1)])
def test_an_index_that_is_away_for_a_while(folder, away, tries):
    """It answers 503, at first or in mid-run; the step ends well, and loses no row."""
    said: list[str] = []
    with serving(FaultyService([hits], away=away)) as url:
        assert search(folder, url, said, retries=4) == 6
    told = [line for line in said if "That may pass: tried again in 0 s" in line]
    assert len(told) == tries
    assert "503 Service Unavailable: no server is available" in told[0]
    assert told[0].endswith("(1 of 4).")
    assert not any("Traceback" in line for line in said)


@pytest.mark.parametrize(
    ("service", "code"),
    [
        (FaultyService([hits], away=range(1000)), 75),
        (FaultyService([hits], names=["a", "b"]), 1),
    ],
)
def test_how_it_ends(folder, service, code):
    """When all tries are spent the exit code says that it may pass; what does not ends at once."""
    said: list[str] = []
    with serving(service) as url, pytest.raises(StepFailedError) as caught:
        search(folder, url, said, retries=1)
    assert f"failed with exit code {code}." in str(caught.value)
    assert caught.value.temporary is (code == 75)
    assert sum("That may pass" in line for line in said) == (code == 75)


def pauses(monkeypatch, policy):
    """Return the pauses between the tries of what always fails, by a clock that moves in them."""
    clock = MovedClock()
    monkeypatch.setattr(tries, "time", clock)

    def fail() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        policy.of(fail)
    return clock.slept


def test_pauses_grow_to_a_bound(monkeypatch):
    """Each is twice the one before, and up to a quarter longer, so that not all come at once."""
    slept = pauses(monkeypatch, Tries(retries=6, backoff=30))
    shortest = [30, 60, 120, 240, tries.LONGEST_PAUSE, tries.LONGEST_PAUSE]
    assert len(slept) == len(shortest)
    assert all(s <= pause <= 1.25 * s for s, pause in zip(shortest, slept, strict=True))


def test_time_is_up(monkeypatch):
    """There is no further try that the time does not allow."""
    assert len(pauses(monkeypatch, Tries(retries=5, backoff=30, timeout=200))) == 2


def test_what_does_not_pass_is_not_tried_again(monkeypatch):
    """It is raised at once."""
    monkeypatch.setattr(tries, "time", MovedClock())
    with pytest.raises(KeyError):
        Tries(retries=5).of(lambda: {}["x"])
    assert tries.time.slept == []
