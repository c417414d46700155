"""Build an index in clip-retrieval's layout: in bounded memory, resumable, with measured recall."""

import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from fondant_spec import __version__
from fondant_spec.errors import InputDataError
from fondant_spec.progress import Progress
from image_toolkit.retrieval.build.build_inverted import build_inverted
from image_toolkit.retrieval.build.index_kinds import Kind, kind_for
from image_toolkit.retrieval.build.recall import NEIGHBOURS, Measurement, tune
from image_toolkit.retrieval.build.staging import UNFINISHED, Staging
from image_toolkit.retrieval.build.vector_source import VectorSource
from image_toolkit.retrieval.search.exact import exact_neighbours
from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.retrieval.search.index_listing import INDICES_PATHS
from image_toolkit.retrieval.search.model_identity import (
    ModelIdentity,
    clip_retrieval_name,
    identify,
)
from image_toolkit.retrieval.search.vectors import NpyVectors

logger = logging.getLogger(__name__)

_HELD_OUT: Final = 500
_HELD_OUT_SHARE: Final = 20
_GIB: Final = 1 << 30


@dataclass(frozen=True)
class BuildOptions:
    """How to build an index.

    Args:
        kind: `flat`, `hnsw` or `ivf_pq`; None chooses by the number of vectors and the memory.
        memory_gb: The memory that building and serving may take.
        target_recall: The recall@10 that the saved search options should reach.
        name: The index's name for a service.
        model_id: The model of the vectors, if the source does not state it: a name, or a folder.
        revision: Its commit, branch or tag on the hub.
        keep_vectors: Keep the vectors as `img_emb/*.npy`, for exact search.
        lists_on_disk: Map the lists of an `ivf_pq` index in searches, even if they fit in memory.
    """

    kind: str | None = None
    memory_gb: float = 4
    target_recall: float = 0.95
    name: str = "index"
    model_id: str | None = None
    revision: str | None = None
    keep_vectors: bool = False
    lists_on_disk: bool = False

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes."""
        return int(self.memory_gb * _GIB)

    def kind_of(self, rows: int, dimension: int) -> Kind:
        """Return the kind of index for so many vectors.

        Raises:
            InputDataError: the requested kind is not possible for them.
        """
        kind = kind_for(self.kind, rows, dimension, self.memory_bytes)
        on_disk = bool(kind.refined_by) and self.lists_on_disk
        return replace(kind, mapped=kind.mapped or on_disk)


@dataclass(frozen=True)
class Built:
    """The result of a build; `measurements` are with the held-out queries, the last one saved.

    `which_part` is its part of the source, such as `3/20`, if it is not all of it.
    """

    kind: Kind
    rows: int
    left_out: int
    held_out: int
    measurements: tuple[Measurement, ...]
    seconds: float
    which_part: str | None = None


def build_index(source: VectorSource, folder: Path, options: BuildOptions) -> Built:
    """Build an index of `source` in `folder`, or resume one that was stopped.

    Raises:
        InputDataError: the folder is not empty, or the source has no usable vector.
    """
    start = time.perf_counter()
    if folder.exists() and any(folder.iterdir()):
        msg = f"{folder} is not empty; name another folder for the index, or remove this one."
        raise InputDataError(msg)
    staging = Staging(folder.with_name(f"{folder.name}{UNFINISHED}"))
    try:
        left_out = staging.fill(source)
    finally:
        source.close()
    files = staging.vector_files()
    if not files:
        msg = f"none of the {len(source)} rows has a usable vector."
        raise InputDataError(msg)
    vectors = NpyVectors(files)
    rows, dimension = len(vectors), vectors.dimension
    kind = options.kind_of(rows, dimension)
    held_out = min(_HELD_OUT, rows // _HELD_OUT_SHARE)
    save, measurements = _filled(kind, vectors, files, staging, held_out, options)
    seconds = time.perf_counter() - start
    built = Built(kind, rows, left_out, held_out, tuple(measurements), seconds, source.which_part)
    _finish(save, staging, folder, built, _model(source, options), options)
    return built


def _model(source: VectorSource, options: BuildOptions) -> ModelIdentity:
    """Return the model of the vectors as stated by the user, or else by the source."""
    if options.model_id is not None:
        return identify(options.model_id, options.revision)
    return source.model or ModelIdentity()


def _filled(
    kind: Kind,
    vectors: NpyVectors,
    files: Sequence[Path],
    staging: Staging,
    held_out: int,
    options: BuildOptions,
) -> tuple[Callable[[Path], None], Sequence[Measurement]]:
    """Build an index of all vectors; return a function to save it, and the measurements.

    The last `held_out` vectors are searched before they are added, to choose the search options.
    """
    target = options.target_recall
    if kind.refined_by:
        made = build_inverted(kind, files, staging.shards, held_out, target, options.memory_bytes)
        return made.save, made.measurements
    head = kind.rows - held_out
    index = kind.empty()
    with Progress(f"index build: {kind.name}", head) as progress:
        for chunk in _first(vectors, head):
            index.add(chunk)
            progress.advance(len(chunk))
    measurements: list[Measurement] = []
    if held_out:
        queries = vectors.take(np.arange(head, kind.rows))
        _, true = exact_neighbours(vectors, queries, min(NEIGHBOURS, head), rows=head)
        measurements = tune(index, queries, true, kind.options, target)
        index.add(queries)
    return partial(_write, index), measurements


def _write(index: Any, file: Path) -> None:
    faiss.write_index(index, str(file))


def _first(vectors: NpyVectors, rows: int) -> Iterator[FloatArray]:
    """Yield the first `rows` vectors, a chunk at a time."""
    for chunk in vectors.chunks():
        yield chunk[:rows]
        rows -= len(chunk)
        if rows <= 0:
            return


def _finish(
    save: Callable[[Path], None],
    staging: Staging,
    folder: Path,
    built: Built,
    model: ModelIdentity,
    options: BuildOptions,
) -> None:
    """Write the index and its description beside its metadata, then rename the folder."""
    last = built.measurements[-1] if built.measurements else None
    about = {
        "index_key": built.kind.factory_key,
        "index_param": last.options if last else "",
        "nb vectors": built.rows,
        "vectors dimension": built.kind.dimension,
        f"{NEIGHBOURS}-recall@{NEIGHBOURS}": last.recall if last else None,
        "held_out_queries": built.held_out,
        "rows_left_out": built.left_out,
        "part": built.which_part,
        **model.as_field(),
        "build_seconds": round(built.seconds, 1),
        "built_by": f"fondant-spec {__version__}",
    }
    listing: dict[str, Any] = {"indice_folder": str(folder.resolve())}
    if model.name is not None:
        listing["clip_model"] = clip_retrieval_name(model.name)
    for name, content in (("image.json", about), (INDICES_PATHS, {options.name: listing})):
        (staging.folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    target = staging.folder / "image.index"
    if target.is_dir():  # from a build that was stopped while saving
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    save(target)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging.folder.replace(folder)
    Staging(folder).clean(keep_vectors=options.keep_vectors)
