"""A server with a model embeds texts and images as the embedding components do."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fondant_spec.testing import run_component
from image_toolkit.retrieval.search.query_encoders import QueryEncoders
from image_toolkit.retrieval.service.query_requests import BadRequestError
from tests.tiny_models import make_model

COMPONENTS = Path(__file__).parents[4] / "components"


def test_texts_and_images(tmp_path: Path) -> None:
    """The vector of a query is that which text_embedding or image_embedding gives it."""
    clip = make_model("clip", tmp_path / "clip")
    picture = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (50, 40, 3), np.uint8)
    Image.fromarray(pixels).save(picture, "PNG")
    settings = {"model_id": str(clip), "precision": "fp32", "device": "cpu"}
    texts = pa.table({"text": ["a photo of a cat"]})
    images = pa.table({"image": [picture.getvalue()]})
    by_step = [
        run_component(COMPONENTS / "text_embedding", texts, tmp_path / "t", **settings),
        run_component(COMPONENTS / "image_embedding", images, tmp_path / "i", **settings),
    ]

    encoders = QueryEncoders(str(clip))
    try:
        found = [encoders.vector("a photo of a cat"), encoders.vector(picture.getvalue())]
        with pytest.raises(BadRequestError, match="the image cannot be embedded: "):
            encoders.vector(b"<html>")
    finally:
        encoders.close()

    for vector, result in zip(found, by_step, strict=True):
        expected = np.array(result.table["embedding"].to_pylist()[0], np.float32)
        assert np.allclose(vector / np.linalg.norm(vector), expected, atol=2e-2)
