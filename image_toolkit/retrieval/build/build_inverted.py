"""Build an inverted file in bounded memory: train on a sample, encode in shards, merge.

The trained parts and each shard stay on disk until the index is complete: a build that was killed
resumes after them, if it is repeated with the same vectors and settings.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np

from fondant_spec.cpu import cpu_count
from image_toolkit.retrieval.build.index_kinds import Kind
from image_toolkit.retrieval.build.merged_lists import MergedLists, merge_lists
from image_toolkit.retrieval.build.npy_files import write_npy
from image_toolkit.retrieval.build.recall import NEIGHBOURS, Measurement, tune
from image_toolkit.retrieval.build.refinement import move_longer_codes, refined
from image_toolkit.retrieval.build.shard_workers import make_shards
from image_toolkit.retrieval.build.shards import Learnt, nearest_of_all, shards_of
from image_toolkit.retrieval.search.hits import FloatArray
from image_toolkit.retrieval.search.mapped_lists import MappedIndex
from image_toolkit.retrieval.search.vectors import NpyVectors

logger = logging.getLogger(__name__)

_PROGRAM_BYTES: Final = 300 << 20
_VECTORS_AT_ONCE: Final = 6 * 32_768
"""What a process that makes shards needs on top of the program, in vectors."""

_MERGED_SHARE: Final = 8
_MOST_MERGED_BYTES: Final = 512 << 20


@dataclass(frozen=True)
class Inverted:
    """An inverted file in memory-mapped parts, ready to be saved with its search options."""

    kind: Kind
    learnt: Learnt
    lists: MergedLists
    longer: Path
    measurements: Sequence[Measurement]

    def save(self, target: Path) -> None:
        """Write it to `target`: one file, or a folder of files if lists stay on disk."""
        options = self.measurements[-1].options if self.measurements else self.kind.options[0]
        if self.kind.mapped:
            self._save_mapped(MappedIndex(target), options)
            return
        mapped = self.lists.index(self.learnt.lists(), with_held_out=True)
        search = refined(self.lists.in_memory(self.learnt.lists(), mapped), self.longer)
        space: Any = faiss.ParameterSpace()
        space.set_index_parameters(search, options)
        faiss.write_index(search, str(target))

    def _save_mapped(self, target: MappedIndex, options: str) -> None:
        target.folder.mkdir()
        _put(self.learnt.lists_file, target.learnt)
        _put(self.lists.file, target.lists)
        _put(self.longer, target.longer)
        write_npy(target.sizes, self.lists.sizes)
        target.options.write_text(f"{options}\n", encoding="utf-8")


def build_inverted(
    kind: Kind, files: Sequence[Path], folder: Path, held_out: int, target: float, memory: int
) -> Inverted:
    """Build an inverted file of the vectors in `files`, in `folder`; see `build_index`.

    The last `held_out` vectors are searched among the others, to choose the search options.

    Raises:
        StepFailedError: the cluster that makes shards failed.
    """
    vectors = NpyVectors(files)
    head = kind.rows - held_out
    learnt = _learnt(kind, vectors, held_out, folder)
    shards = shards_of(learnt, files, vectors.file_rows, head, NEIGHBOURS)
    make_shards(shards, processes(kind.dimension, memory))
    logger.info("merging %d shards", len(shards))
    longer = learnt.folder / "longer.index"
    move_longer_codes(shards, learnt.codec(), longer)
    some = min(memory // _MERGED_SHARE, _MOST_MERGED_BYTES)
    lists = merge_lists(shards, learnt.lists(), head, learnt.folder / "lists.bin", some)
    measurements: list[Measurement] = []
    if held_out:
        search = refined(lists.index(learnt.lists(), with_held_out=False), longer)
        true = nearest_of_all(shards, min(NEIGHBOURS, head))
        measurements = tune(search, learnt.queries(), true, kind.options, target)
    return Inverted(kind, learnt, lists, longer, measurements)


def processes(dimension: int, memory: int) -> int:
    """Return how many processes make shards: one per core, as far as memory permits."""
    cores: int = cpu_count()
    return max(1, min(cores, (memory - _PROGRAM_BYTES) // process_bytes(dimension)))


def process_bytes(dimension: int) -> int:
    """Return the memory that each of them takes."""
    return _PROGRAM_BYTES + 4 * dimension * _VECTORS_AT_ONCE


def _learnt(kind: Kind, vectors: NpyVectors, held_out: int, folder: Path) -> Learnt:
    """Train lists and codes on a sample, unless that was done for the same index.

    The folder's name depends on the index, so that a process still building another one cannot
    interfere.
    """
    plan = f"{kind.factory_key}, {vectors.file_rows}, {held_out}"
    learnt = Learnt(folder / hashlib.sha256(plan.encode()).hexdigest()[:16])
    if learnt.folder.is_dir():
        return learnt
    shutil.rmtree(folder, ignore_errors=True)
    unfinished = Learnt(learnt.folder.with_suffix(".tmp"))
    unfinished.folder.mkdir(parents=True)
    logger.info("learning %d lists from %d vectors", kind.lists, kind.training_rows)
    chosen = np.random.default_rng(0).choice(kind.rows, kind.training_rows, replace=False)
    sample = vectors.take(np.sort(chosen))
    lists = kind.empty()
    _train(lists, sample)
    codec: Any = faiss.index_factory(kind.dimension, kind.refined_by, faiss.METRIC_INNER_PRODUCT)
    codec.train(sample)
    faiss.write_index(lists, str(unfinished.lists_file))
    faiss.write_index(codec, str(unfinished.codec_file))
    queries = vectors.take(np.arange(kind.rows - held_out, kind.rows))
    write_npy(unfinished.queries_file, queries)
    unfinished.folder.replace(learnt.folder)
    return learnt


def _put(source: Path, target: Path) -> None:
    """Link or copy a file: until all is saved, a build that is stopped needs the original."""
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _train(index: Any, sample: FloatArray) -> None:
    """Train an inverted file: first its lists, then its codes.

    Codes are trained in one thread: with several, hundreds of tiny clusterings spend many times as
    long waiting for each other as computing, if the machine has other work.
    """
    index.train_q1(len(sample), faiss.swig_ptr(sample), False, index.metric_type)  # noqa: FBT003
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index.train(sample)
    finally:
        faiss.omp_set_num_threads(threads)
