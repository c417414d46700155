"""Reads all images once: each is decoded, embedded, and reduced to a thumbnail."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import pyarrow as pa
from gathered import BASE, ORIGINAL, SOURCES, TUNED, Crop, Gathered, ImageSet, Row, Vectors, name_of
from object_detector import ObjectDetector
from picture_spool import PictureSpool, small_picture

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.rejects import Rejects
from image_toolkit.evaluation.standard_look import Pixels, as_jpeg, standard_pixels
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.models.embedding.zero_shot import rows_of_vectors
from image_toolkit.training.splits import REGULARIZATION, VALIDATION

_GRIDS: Final = 3
"""The number of rows whose grids are shown, first ids first."""

GRID: Final = "grid"


class ImageReader:
    """Reads the rows, and keeps of each image what is compared and what may be shown.

    Attributes:
        pictures: Thumbnails, by image name.
        looks: Keeps the images themselves as they are compared; None if not needed.
        grids: The files of the first rows' grids, by id.
    """

    def __init__(
        self,
        embedder: Embedder,
        side: int,
        detector: ObjectDetector | None,
        pictures: PictureSpool,
        looks: PictureSpool | None = None,
    ) -> None:
        self.pictures, self.looks = pictures, looks
        self.grids: dict[str, list[bytes]] = {}
        self._embedder, self._side, self._detector = embedder, side, detector
        self._rows: dict[str, Row] = {}
        self._vectors: dict[str, Vectors] = {}
        self._labels: dict[str, str] = {}
        self._lone = 0

    def read(self, batches: Iterator[pa.RecordBatch], rejects: Rejects) -> Gathered:
        """Return what is compared. Rows with an image that cannot be decoded are rejects."""
        lost = Rejects()
        for made in self._embedder.batches(self._looks(batches, rejects), "image", lost):
            names = made.column("id").to_pylist()
            self._vectors |= zip(names, rows_of_vectors(made), strict=True)
        for row in lost.to_table().to_pylist():
            row_id = str(row["id"]).partition("/")[2]
            if self._rows.pop(row_id, None) is not None:
                rejects.add(row_id, row["reason"], row["message"])
        return self._gathered()

    def _looks(
        self, batches: Iterator[pa.RecordBatch], rejects: Rejects
    ) -> Iterator[pa.RecordBatch]:
        """Yield the names and decoded forms of the images of each batch, and of their crops."""
        with ThreadPoolExecutor(cpu_count()) as pool:
            for batch in batches:
                looks: list[tuple[str, bytes]] = []
                rows = batch.to_pylist()
                for row, made in zip(rows, pool.map(self._row_looks, rows), strict=True):
                    if isinstance(made, NotAnImageError):
                        rejects.add(row["id"], made.reason, made.message)
                        continue
                    looks += made.items()
                    self._keep(row)
                if looks:
                    columns = zip(*looks, strict=True)
                    arrays = [pa.array(c, t) for c, t in zip(columns, _TYPES, strict=True)]
                    yield pa.RecordBatch.from_arrays(arrays, ["id", "image"])

    def _row_looks(self, row: Mapping[str, Any]) -> dict[str, bytes] | NotAnImageError:
        """Return the decoded forms of a row's images by name, or the error."""
        found: dict[str, Pixels] = {}
        for source in SOURCES:
            if row[source] is not None:
                try:
                    found[name_of(source, row["id"])] = standard_pixels(row[source], self._side)
                except NotAnImageError as error:
                    message = f"{source}: {error.message}"
                    return NotAnImageError(reason=error.reason, message=message)
        crops = self._crops(row, found) if self._detector is not None else {}
        for name, pixels in (found | crops).items():
            self.pictures.add(name, small_picture(pixels))
        looks = {name: as_jpeg(pixels) for name, pixels in (found | crops).items()}
        if self.looks is not None:
            for name in found:
                self.looks.add(name, looks[name])
        return looks

    def _crops(self, row: Mapping[str, Any], found: Mapping[str, Pixels]) -> dict[str, Pixels]:
        assert self._detector is not None  # noqa: S101 - checked by the caller
        crops: dict[str, Pixels] = {}
        for source in SOURCES:
            image = found.get(name_of(source, row["id"]))
            if image is None:
                continue
            for number, one in enumerate(self._detector.found_in(image)):
                name = name_of(source, row["id"], number)
                crops[name], self._labels[name] = one.pixels, one.label
        return crops

    def _keep(self, row: Mapping[str, Any]) -> None:
        both = [row[source] is not None for source in (BASE, TUNED)]
        self._lone += any(both) and not all(both)
        self._rows[row["id"]] = Row(row.get("caption"), row.get("split"), row.get("class"))
        if row.get(GRID):
            self.grids[row["id"]] = row[GRID]
            for late in sorted(self.grids)[_GRIDS:]:
                del self.grids[late]

    def _gathered(self) -> Gathered:
        ids = sorted(self._rows)
        has = {
            source: [n for n in ids if name_of(source, n) in self._vectors] for source in SOURCES
        }
        has[ORIGINAL] = [n for n in has[ORIGINAL] if self._rows[n].split != REGULARIZATION]
        held = {n for n in has[ORIGINAL] if self._rows[n].split == VALIDATION}
        drawn = set(has[TUNED])
        pairs = [n for n in has[BASE] if n in drawn]
        sets = {
            "training": self._set(ORIGINAL, [n for n in has[ORIGINAL] if n not in held]),
            "held_out": self._set(ORIGINAL, [n for n in has[ORIGINAL] if n in held]),
            "base": self._set(BASE, pairs),
            "tuned": self._set(TUNED, pairs),
        }
        crops = self._all_crops() if self._detector is not None else None
        return Gathered(**sets, rows=self._rows, crops=crops, lone=self._lone)

    def _set(self, source: str, ids: list[str]) -> ImageSet:
        vectors = [self._vectors[name_of(source, row_id)] for row_id in ids]
        dimension = self._embedder.metadata("image")["dimension"]
        return ImageSet(source, ids, np.array(vectors, np.float32).reshape(-1, dimension))

    def _all_crops(self) -> dict[str, list[Crop]]:
        crops: dict[str, list[Crop]] = {source: [] for source in SOURCES}
        for name, label in sorted(self._labels.items()):
            head, _, row_id = name.partition("/")
            if row_id in self._rows and name in self._vectors:
                crop = Crop(row_id, label, self._vectors[name], name)
                crops[head.partition("#")[0]].append(crop)
        return crops


_TYPES: Final = (pa.string(), pa.binary())
