"""Image embedding, run as runners run it."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

from fondant_spec.errors import FondantError, InputDataError
from fondant_spec.testing import run_component
from image_toolkit.models.embedding import embedding_stream
from image_toolkit.models.runtime.feed import Feed
from image_toolkit.models.runtime.preparation import probe_images
from image_toolkit.models.runtime.preparing_processes import PreparingProcesses
from tests.made_images import jpeg
from tests.tiny_models import make_model

COMPONENT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny CLIP."""
    return make_model("clip", tmp_path_factory.mktemp("models") / "tiny-clip")


PHOTOS = [jpeg(image) for image in probe_images(5)]


def images(*cells: bytes | None) -> pa.Table:
    """Return a table of images."""
    return pa.table({"image": pa.array(cells, pa.binary())})


def test_vectors_are_those_of_the_model(clip, tmp_path):
    """Images come out as unit vectors of a fixed size, those of the plain model."""
    result = run_component(COMPONENT, images(*PHOTOS), tmp_path, model_id=str(clip), batch_size=2)
    assert result.table.schema.field("embedding").type.value_type == pa.float32()
    assert result.manifest.fields["embedding"].type.list_size == 16
    ours = np.stack(result.table["embedding"].to_numpy())
    model, processor = (
        AutoModel.from_pretrained(clip).eval(),
        AutoImageProcessor.from_pretrained(clip),
    )
    decoded = [Image.open(io.BytesIO(photo)) for photo in PHOTOS]
    with torch.inference_mode():
        inputs = processor(images=decoded, return_tensors="pt")
        exact = model.get_image_features(**inputs).pooler_output
    exact = torch.nn.functional.normalize(exact, dim=-1).numpy()
    assert (ours * exact).sum(-1).min() >= 0.999


def test_the_field_says_which_model_made_it(clip, tmp_path):
    """Whoever reads the vectors can see the model, its revision, and what to expect."""
    result = run_component(COMPONENT, images(*PHOTOS), tmp_path, model_id=str(clip))
    metadata = result.manifest.fields["embedding"].metadata
    assert metadata["revision"].startswith("sha256:")
    assert {key: metadata[key] for key in ("model_id", "dimension", "normalised", "modality")} == {
        "model_id": "tiny-clip",
        "dimension": 16,
        "normalised": True,
        "modality": "image",
    }


def test_bad_images_cost_one_reject_each(clip, tmp_path):
    """Null, empty, broken and truncated images are rejects with a reason; the rest goes on."""
    cells = [None, PHOTOS[0], b"", b"<html>", PHOTOS[1][:900], PHOTOS[2]]
    result = run_component(
        COMPONENT,
        images(*cells),
        tmp_path,
        model_id=str(clip),
        batch_size=2,
        options={"max_reject_share": "1"},
    )
    assert [row["id"][-1] for row in result.table.to_pylist()] == ["1", "5"]
    assert {row["id"][-1]: row["reason"] for row in result.rejects.to_pylist()} == {
        "0": "missing",
        "2": "empty",
        "3": "not_an_image",
        "4": "truncated",
    }


def test_partitions_side_by_side_give_the_same(clip, tmp_path, monkeypatch):
    """As on a GPU, which gets a second partition while the first one ends."""
    cells = [*PHOTOS, b"<html>", None]
    given = {"model_id": str(clip), "batch_size": 2, "rows_per_partition": 2}
    given["options"] = {"max_reject_share": "1"}
    one = run_component(COMPONENT, images(*cells), tmp_path / "one", **given)
    monkeypatch.setattr(Feed, "partitions_at_once", 2)
    two = run_component(COMPONENT, images(*cells), tmp_path / "two", **given)
    assert len(two.manifest.partitions) == 4
    assert two.table["id"].to_pylist() == one.table["id"].to_pylist()
    vectors = [np.stack(result.table["embedding"].to_numpy()) for result in (one, two)]
    np.testing.assert_allclose(*vectors, atol=1e-2)
    assert two.rejects.to_pylist() == one.rejects.to_pylist()


def test_no_rows(clip, tmp_path):
    """A dataset without rows comes out as one."""
    assert run_component(COMPONENT, images(), tmp_path, model_id=str(clip)).table.num_rows == 0


@pytest.mark.parametrize(
    ("model_id", "message"),
    [
        (
            "nobody/no-such-model",
            (
                "Model 'nobody/no-such-model': it is not on this machine and the hub cannot "
                "be reached. Name a local folder, or run once with a connection "
                "(HF_HUB_OFFLINE unset)."
            ),
        ),
        (
            "no such model",
            ("Model 'no such model': neither a folder nor the id of a model such as `owner/name`."),
        ),
    ],
)
def test_a_wrong_model_is_one_line(model_id, message, tmp_path, monkeypatch):
    """A model that cannot be had is one line, with what to do."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputDataError) as caught:
        run_component(COMPONENT, images(*PHOTOS), tmp_path, model_id=model_id)
    assert str(caught.value) == message


def test_a_folder_that_is_not_there(tmp_path):
    """A path that leads nowhere is an error as such, not looked up on the hub."""
    with pytest.raises(FondantError, match="nowhere"):
        run_component(COMPONENT, images(*PHOTOS), tmp_path, model_id=str(tmp_path / "nowhere"))


def test_processes_prepare_what_threads_prepare(clip, tmp_path, monkeypatch):
    """As on a GPU, where they have cores of their own: the same vectors, and the same rejects."""
    cells = [PHOTOS[0], None, b"", b"<html>", *PHOTOS[1:], PHOTOS[2][:900]]
    arguments = {"model_id": str(clip), "batch_size": 4, "options": {"max_reject_share": "1"}}
    by_threads = run_component(COMPONENT, images(*cells), tmp_path / "threads", **arguments)
    asked = []
    fill = PreparingProcesses.fill
    monkeypatch.setattr(
        PreparingProcesses, "fill", lambda self, rows: asked.extend(rows) or fill(self, rows)
    )
    monkeypatch.setattr(
        embedding_stream, "preparing_processes", lambda *, on_gpu: PreparingProcesses(2 + on_gpu)
    )
    result = run_component(COMPONENT, images(*cells), tmp_path / "processes", **arguments)
    assert len(asked) == len(cells) - 1
    assert result.table.equals(by_threads.table)
    assert result.rejects.equals(by_threads.rejects)
