"""The first half of a build: normalised vectors and their metadata on disk, resumable.

Each portion of the source becomes a pair of files, `img_emb/img_emb_00000.npy` and
`metadata/metadata_00000.parquet`, written under temporary names and renamed. A build that was
stopped resumes after the last complete pair, if the source is still the same. The metadata of rows
without a usable vector is stored separately, as `left_out/left_out_00000.parquet`.
"""

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fondant_spec.progress import Progress
from image_toolkit.retrieval.build.npy_files import write_npy
from image_toolkit.retrieval.build.vector_source import VectorSource
from image_toolkit.retrieval.search.columns import rename_usual
from image_toolkit.retrieval.search.hits import BoolArray, FloatArray
from image_toolkit.unit_vectors import unit_vectors

logger = logging.getLogger(__name__)

ROWS_PER_PORTION: Final = 65_536
_ROW_GROUP_ROWS: Final = 8192
_STATE: Final = "state.json"

UNFINISHED: Final = ".building"
"""The suffix of an index's folder until it is complete."""

SOURCE_ROW: Final = "source_row"
"""The column with the row number in the source, in the metadata of rows left out."""


@dataclass(frozen=True)
class Staging:
    """The folder of a build in progress."""

    folder: Path

    @property
    def vectors(self) -> Path:
        """The folder of the vectors."""
        return self.folder / "img_emb"

    @property
    def metadata(self) -> Path:
        """The folder of the metadata."""
        return self.folder / "metadata"

    @property
    def left_out(self) -> Path:
        """The folder with the metadata of rows that are not in the index, if there are any."""
        return self.folder / "left_out"

    @property
    def shards(self) -> Path:
        """The folder of an inverted file's shards, until they are merged."""
        return self.folder / "shards"

    def fill(self, source: VectorSource, rows_per_portion: int = ROWS_PER_PORTION) -> int:
        """Write what is missing of `source`; return how many rows have no usable vector.

        Those rows, whose vector is missing, not finite or zero, are left out, and listed
        separately.
        """
        self._begin(source, rows_per_portion)
        done = self._complete()
        start = min(done * rows_per_portion, len(source))
        if done:
            logger.info("going on after %d rows that are kept", start)
        with Progress("index build: vectors", len(source)) as progress:
            progress.advance(start, before=start)
            portions = source.portions(rows_per_portion, start)
            for number, (vectors, table) in enumerate(portions, start=done):
                usable = np.logical_and(np.isfinite(vectors).all(axis=1), vectors.any(axis=1))
                self._list(number, ~usable, table, number * rows_per_portion)
                self._write(number, unit_vectors(vectors[usable]), table.filter(pa.array(usable)))
                progress.advance(len(vectors), int((~usable).sum()))
        kept: int = sum(pq.read_metadata(file).num_rows for file in self.metadata.glob("*.parquet"))
        return len(source) - kept

    def vector_files(self) -> Sequence[Path]:
        """Return the vector files that are not empty, in order."""
        files = sorted(self.vectors.glob("img_emb_*.npy"))
        return [file for file in files if len(np.load(file, mmap_mode="r"))]

    def clean(self, *, keep_vectors: bool) -> None:
        """Remove what only the build needed."""
        (self.folder / _STATE).unlink()
        shutil.rmtree(self.shards, ignore_errors=True)
        if not keep_vectors:
            shutil.rmtree(self.vectors)

    def _begin(self, source: VectorSource, rows_per_portion: int) -> None:
        state = json.dumps({"identity": source.identity, "rows_per_portion": rows_per_portion})
        file = self.folder / _STATE
        if file.is_file() and file.read_bytes() != state.encode():  # it may have been cut off, too
            logger.warning("%s is of another source; starting afresh", self.folder)
            shutil.rmtree(self.folder)
        self.vectors.mkdir(parents=True, exist_ok=True)
        self.metadata.mkdir(exist_ok=True)
        file.write_text(state, encoding="utf-8")

    def _complete(self) -> int:
        """Return the number of complete portions, with both files."""
        number = 0
        while self._metadata_file(number).is_file() and self._vector_file(number).is_file():
            number += 1
        return number

    def _list(self, number: int, unusable: BoolArray, table: pa.Table, start: int) -> None:
        """Store the metadata of a portion's rows without a usable vector, if there are any.

        Their row number in the source, from 0, is the first column.
        """
        if not unusable.any():
            return
        self.left_out.mkdir(exist_ok=True)
        rows = pa.array(start + np.flatnonzero(unusable))
        names = [name for name in table.schema.names if name != SOURCE_ROW]
        listed = table.select(names).filter(pa.array(unusable)).add_column(0, SOURCE_ROW, rows)
        _write_table(listed, self.left_out / f"left_out_{number:05d}.parquet")

    def _write(self, number: int, vectors: FloatArray, table: pa.Table) -> None:
        file = self._vector_file(number)
        temporary = file.with_suffix(".tmp")
        write_npy(temporary, vectors)
        temporary.replace(file)
        _write_table(table, self._metadata_file(number))

    def _vector_file(self, number: int) -> Path:
        return self.vectors / f"img_emb_{number:05d}.npy"

    def _metadata_file(self, number: int) -> Path:
        return self.metadata / f"metadata_{number:05d}.parquet"


def left_out_rows(folder: Path, most: int) -> list[str]:
    """Return the names of the first rows that were left out of the index in `folder`.

    A name is the path or URL, if there is one, and the row number in the source.
    """
    names: list[str] = []
    for file in sorted((folder / "left_out").glob("left_out_*.parquet")):
        table = pq.read_table(file)
        called = next((name for name in ("image_path", "url") if name in table.schema.names), None)
        for row in table.slice(0, most - len(names)).to_pylist():
            name = row[called] if called else None
            names.append(f"{name} (row {row[SOURCE_ROW]})" if name else f"row {row[SOURCE_ROW]}")
    return names


def _write_table(table: pa.Table, file: Path) -> None:
    temporary = file.with_suffix(".tmp")
    pq.write_table(rename_usual(table), temporary, row_group_size=_ROW_GROUP_ROWS)
    temporary.replace(file)
