"""The first half of a build: normalised vectors and their metadata on disk, resumable.

Each portion of the source becomes a pair of files, `img_emb/img_emb_0000.npy` and
`metadata/metadata_0000.parquet`, written under temporary names and renamed. A build that is stopped
goes on after the last complete pair, if the source is still the same.
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
from image_toolkit.retrieval.build.vector_sources import VectorSource
from image_toolkit.retrieval.search.aesthetics import unit_vectors
from image_toolkit.retrieval.search.columns import rename_usual
from image_toolkit.retrieval.search.hits import FloatArray

logger = logging.getLogger(__name__)

ROWS_PER_PORTION: Final = 65_536
_ROW_GROUP_ROWS: Final = 8192
_STATE: Final = "state.json"


@dataclass(frozen=True)
class Staging:
    """The folder of a build that is under way."""

    folder: Path

    @property
    def vectors(self) -> Path:
        """Where the vectors go."""
        return self.folder / "img_emb"

    @property
    def metadata(self) -> Path:
        """Where the metadata goes."""
        return self.folder / "metadata"

    def fill(self, source: VectorSource, rows_per_portion: int = ROWS_PER_PORTION) -> int:
        """Write what is not yet there of `source`; return how many rows have no usable vector.

        Those rows, whose vector is missing, not finite or zero, are left out.
        """
        self._begin(source, rows_per_portion)
        done = self._complete()
        if done:
            logger.info("going on after %d rows that are kept", done * rows_per_portion)
        start = done * rows_per_portion
        with Progress("index build: vectors", len(source)) as progress:
            progress.advance(min(start, len(source)))
            portions = source.portions(rows_per_portion, start)
            for number, (vectors, table) in enumerate(portions, start=done):
                usable = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
                self._write(number, unit_vectors(vectors[usable]), table.filter(pa.array(usable)))
                progress.advance(len(vectors), int((~usable).sum()))
        kept: int = sum(pq.read_metadata(file).num_rows for file in self.metadata.glob("*.parquet"))
        return len(source) - kept

    def vector_files(self) -> Sequence[Path]:
        """Return the files of vectors that hold any, in order."""
        files = sorted(self.vectors.glob("img_emb_*.npy"))
        return [file for file in files if len(np.load(file, mmap_mode="r"))]

    def clean(self, *, keep_vectors: bool) -> None:
        """Remove what only the build needed."""
        (self.folder / _STATE).unlink()
        if not keep_vectors:
            shutil.rmtree(self.vectors)

    def _begin(self, source: VectorSource, rows_per_portion: int) -> None:
        state = {"identity": source.identity, "rows_per_portion": rows_per_portion}
        file = self.folder / _STATE
        if file.is_file() and json.loads(file.read_bytes()) != state:
            logger.info("%s is of another source; starting afresh", self.folder)
            shutil.rmtree(self.folder)
        self.vectors.mkdir(parents=True, exist_ok=True)
        self.metadata.mkdir(exist_ok=True)
        file.write_text(json.dumps(state))

    def _complete(self) -> int:
        """Return how many portions are there, both files of each."""
        number = 0
        while self._metadata_file(number).is_file() and self._vector_file(number).is_file():
            number += 1
        return number

    def _write(self, number: int, vectors: FloatArray, table: pa.Table) -> None:
        file = self._vector_file(number)
        temporary = file.with_suffix(".tmp")
        with temporary.open("wb") as stream:
            np.save(stream, vectors)
        temporary.replace(file)
        file = self._metadata_file(number)
        temporary = file.with_suffix(".tmp")
        pq.write_table(rename_usual(table), temporary, row_group_size=_ROW_GROUP_ROWS)
        temporary.replace(file)

    def _vector_file(self, number: int) -> Path:
        return self.vectors / f"img_emb_{number:05d}.npy"

    def _metadata_file(self, number: int) -> Path:
        return self.metadata / f"metadata_{number:05d}.parquet"
