"""Prepares everything that a demo run reads: the collection, the seeds and the index."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo import CLIP_FOLDER
from demo.collection import MARKER, ROOT, make_collection
from demo.host import default_port
from demo.index_marker import is_current
from demo.seeds import make_seeds
from fondant_spec.progress import Drawing


@dataclass(frozen=True)
class DemoFiles:
    """The paths of the demo's files below `root`, as a pipeline's arguments name them."""

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
        """What each URL really shows, for the evaluation only."""
        return self.root / "truth.parquet"


def prepare(root: Path = ROOT, *, port: int | None = None, clip: Path = CLIP_FOLDER) -> DemoFiles:
    """Make what is missing or out of date in `root`; a second call does nothing.

    Args:
        root: the folder for all of it.
        port: the host's port in the URLs; None for DEMO_PORT, or 8642.
        clip: the model to index with.
    """
    with _alone(root):
        with _telling("the pictures of a small web", root / MARKER):
            make_collection(root, port=default_port() if port is None else port)
        files = DemoFiles(root)
        with _telling("the seed images", files.seeds):
            make_seeds(root)
        if is_current(root, clip):
            return files
        with _telling("the index of the pictures", files.index):
            from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415

            disable_progress_bars()  # before transformers is imported: its bars have no label
            from demo.index import build_index  # noqa: PLC0415 - torch loads where it is needed

            build_index(root, clip)
    return files


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let one demo at a time make the files in a folder; the others wait, and then find them."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with root.with_name(f".{root.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("[demo] waits for another demo, which makes these files", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _telling(what: str, made: Path) -> Iterator[None]:
    """Show what is being made (or, if it exists, checked) as long as that takes."""
    title = f"[demo] {'checks' if made.exists() else 'makes'} {what}"
    with Drawing(title, print, sys.stdout) as drawing:
        if not drawing.live:
            print(title, flush=True)
        yield
