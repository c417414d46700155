"""Everything that a demo run reads, made once: the collection, the seeds and the index."""

from dataclasses import dataclass
from pathlib import Path

from demo.collection import ROOT, make_collection
from demo.host import default_port
from demo.index import build_index
from demo.seeds import make_seeds
from demo.tiny_models import CLIP_FOLDER


@dataclass(frozen=True)
class DemoFiles:
    """Where the parts lie, as a pipeline's arguments name them."""

    root: Path
    seeds: Path
    index: Path
    truth: Path


def prepare(root: Path = ROOT, *, port: int | None = None, clip: Path = CLIP_FOLDER) -> DemoFiles:
    """Make what is missing or out of date in `root`; a second call finds everything in place.

    Args:
        root: the folder for all of it.
        port: the host's, which the URLs name; None for DEMO_PORT, or 8642.
        clip: the model that the index is made with.
    """
    make_collection(root, port=default_port() if port is None else port)
    return DemoFiles(
        root=root,
        seeds=make_seeds(root),
        index=build_index(root, clip),
        truth=root / "truth.parquet",
    )
