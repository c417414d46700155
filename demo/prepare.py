"""Everything that a demo run reads, made once: the collection, the seeds and the index."""

from dataclasses import dataclass
from pathlib import Path

from demo import CLIP_FOLDER
from demo.collection import ROOT, make_collection
from demo.host import default_port
from demo.seeds import make_seeds


@dataclass(frozen=True)
class DemoFiles:
    """Where the parts lie below `root`, made or not, as a pipeline's arguments name them."""

    root: Path = ROOT

    @property
    def seeds(self) -> Path:
        """The seed images, a dataset in the hub's layout."""
        return self.root / "seeds"

    @property
    def index(self) -> Path:
        """The collection's index, a clip-retrieval folder."""
        return self.root / "index"

    @property
    def truth(self) -> Path:
        """What each URL really shows, for the evaluation alone."""
        return self.root / "truth.parquet"


def prepare(root: Path = ROOT, *, port: int | None = None, clip: Path = CLIP_FOLDER) -> DemoFiles:
    """Make what is missing or out of date in `root`; a second call finds everything in place.

    Args:
        root: the folder for all of it.
        port: the host's, which the URLs name; None for DEMO_PORT, or 8642.
        clip: the model that the index is made with.
    """
    from demo.index import build_index  # noqa: PLC0415 - torch loads only where it is needed

    make_collection(root, port=default_port() if port is None else port)
    make_seeds(root)
    build_index(root, clip)
    return DemoFiles(root)
