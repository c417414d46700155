"""The step that applies people's edits."""

from pathlib import Path

import pytest

from fondant_spec.dataset import storage
from fondant_spec.errors import StorageError
from fondant_spec.pipeline import Pipeline
from image_toolkit.edits.edit import Edit, new_id, now
from image_toolkit.edits.journal import Journal, edits_folder
from image_toolkit.edits.replay import with_edits
from tests.small import COMPONENTS

APPLY = Path(__file__).parents[3] / "components" / "apply_edits"


@pytest.fixture
def pipeline(tmp_path):
    """Return a pipeline of one step."""
    made = Pipeline("small", tmp_path)
    made.add(COMPONENTS / "pictures")
    return made


def test_a_step_replays_the_edits(pipeline):
    """There is one as soon as there are edits, and it is another with each."""
    step = pipeline.steps["pictures"]
    assert with_edits(pipeline, step, APPLY) is step
    folder = edits_folder(pipeline.base_path)
    Journal(folder).add([Edit(new_id(), now(), "anna", "i1", "caption", "a cat")])
    corrected = with_edits(pipeline, step, APPLY)
    assert (corrected.id, corrected.after) == ("apply_edits", ("pictures",))
    assert corrected.arguments["edits"] == folder
    assert corrected.arguments["version"]


def test_edits_that_cannot_be_listed(pipeline, monkeypatch, caplog):
    """A laptop may submit what only the cluster can open: it says that none are replayed."""

    def refused(_folder: str) -> dict[str, int]:
        msg = "no key"
        raise StorageError(msg)

    monkeypatch.setattr(storage, "sizes", refused)
    step = pipeline.steps["pictures"]
    assert with_edits(pipeline, step, APPLY) is step
    assert "no edits are replayed, since their folder cannot be listed: no key" in caplog.text
