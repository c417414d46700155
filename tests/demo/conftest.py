from pathlib import Path

import pytest
from transformers import CLIPModel, CLIPProcessor

from demo.collection import make_collection
from demo.index import build_index
from demo.seeds import make_seeds
from demo.tiny_models import CLIP_FOLDER

PAGES = 400


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection a tenth of the usual size, with faults of every kind."""
    return make_collection(tmp_path_factory.mktemp("demo"), pages=PAGES)


@pytest.fixture(scope="session")
def seeds(collection: Path) -> Path:
    """The seeds, beside the collection."""
    return make_seeds(collection)


@pytest.fixture(scope="session")
def index(collection: Path) -> Path:
    """The collection's index, made with the committed CLIP."""
    return build_index(collection)


@pytest.fixture(scope="session")
def clip() -> tuple[CLIPModel, CLIPProcessor]:
    """The committed CLIP and its processor, loaded as a user would."""
    return CLIPModel.from_pretrained(CLIP_FOLDER), CLIPProcessor.from_pretrained(CLIP_FOLDER)
