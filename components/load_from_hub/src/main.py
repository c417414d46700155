"""Loads images, texts, or both from a Hugging Face dataset, a local folder, or files."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
from dataset_sources import open_source
from image_cells import holds_arrays, holds_images
from source_rows import FILE_NAME, IMAGE_FIELDS, RowReader
from text_types import is_text

from fondant_spec.component import LoadComponent, RowContext, SetupContext
from fondant_spec.errors import InputDataError
from fondant_spec.executor import execute

logger = logging.getLogger(__name__)

NO_IMAGES: Final = "Name one as image_column, or set that to an empty text to load no images."


class LoadFromHub(LoadComponent):
    """Yields the rows of one split, in the order of the source."""

    def __init__(
        self,
        *,
        dataset_name: str,
        config: str | None = None,
        split: str = "train",
        revision: str | None = None,
        image_column: str = "image",
        image_column_names: Sequence[str] = (),
        column_name_mapping: Mapping[str, str] = {},
        n_rows_to_load: int | None = None,
        index_column: str | None = None,
        follow_links: bool = False,
        batch_rows: int = 32,
    ) -> None:
        self._dataset_name = dataset_name
        self._config, self._split, self._revision = config, split, revision
        self._column_of = {field: column for column, field in column_name_mapping.items()}
        self._column_of.setdefault("image", image_column)
        self._name_column = self._column_of.get(FILE_NAME, FILE_NAME)
        self._image_columns = image_column_names
        self._index_column = index_column
        self._end = n_rows_to_load
        self._follow_links = follow_links
        self._rows_at_a_time = batch_rows

    def setup(self, context: SetupContext) -> None:
        """Open the dataset, and check that it has the requested columns.

        Raises:
            InputDataError: it cannot be opened, or lacks a column.
        """
        extras = sorted(context.output_fields - set(IMAGE_FIELDS))
        wanted = {field: self._column_of.get(field, field) for field in extras}
        if self._column_of["image"]:
            wanted["image"] = self._column_of["image"]
        index = [self._index_column] if self._index_column else []
        self._source = open_source(
            self._dataset_name,
            wanted=[*wanted.values(), *self._image_columns, *index],
            config=self._config or None,
            split=self._split,
            revision=self._revision or None,
            follow_links=self._follow_links,
        )
        self._check(wanted)
        self._tell_unused({*wanted.values(), *self._image_columns, *index})
        images = {field: column for field, column in wanted.items() if self._is_image(column)}
        others = {field: column for field, column in wanted.items() if field not in images}
        self._reader = RowReader(
            self._source,
            images,
            others,
            types=context.output_types,
            index_column=self._index_column or None,
            name_column=self._name_column,
        )

    def field_metadata(self) -> dict[str, dict[str, Any]]:
        """Return the origin of each field, its commit, and how its images are encoded."""
        origin = {
            "dataset": self._dataset_name,
            "config": self._config,
            "split": self._split,
            "revision": self._source.commit,
        }
        made = {f: {**origin, "column": column} for f, column in self._reader.others.items()}
        for field, column in self._reader.images.items():
            decoded = holds_arrays(self._source.columns[column])
            encoding = "PNG, made from arrays" if decoded else "original"
            made[field] = {**origin, "column": column, "encoding": encoding}
        return made

    def load(self, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield the rows whose images are readable.

        Raises:
            InputDataError: the source has no rows, or cannot be read to the end.
        """
        number = 0
        for chunk in self._source.chunks(self._reader.columns, self._rows_at_a_time):
            wanted = chunk if self._end is None else chunk.head(self._end - number)
            yield from self._reader.read(wanted, number, context.rejects.add)
            number += len(wanted)
            if number == self._end:
                return
        if not number:
            msg = f"{self._dataset_name}: split {self._split!r} has no rows; name another one."
            raise InputDataError(msg)

    def _check(self, wanted: Mapping[str, str]) -> None:
        if not wanted:
            msg = f"{self._dataset_name}: nothing to load; name an image_column, or other fields."
            raise InputDataError(msg)
        source, image = self._source, wanted.get("image")
        source.require([image] if image else [], holds_images, "a column of images", NO_IMAGES)
        source.require(wanted.values(), lambda _: True, "of any type")
        images = [c for c in [*wanted.values(), *self._image_columns] if self._is_image(c)]
        source.require(images, holds_images, "a column of images")
        index = [self._index_column] if self._index_column else []
        source.require(index, _holds_ids, "a column of texts or whole numbers")

    def _tell_unused(self, loaded: Collection[str]) -> None:
        """Log the columns that exist and are not loaded, so that captions are not lost silently."""
        columns = self._source.columns.items()
        filled = (c for c, t in columns if not (pa.types.is_null(t) or c.startswith("__")))
        twins = self._source.twins
        known = {*loaded, self._name_column} | (twins if twins & {*loaded} else frozenset())
        unused = [c for c in filled if c not in known]
        if unused:
            told = "columns that are there and not loaded, as produces does not name them"
            logger.info("%s: %s: %s", self._dataset_name, told, ", ".join(unused))

    def _is_image(self, column: str) -> bool:
        """Return whether a column is to be read as image bytes."""
        named = column in (self._column_of["image"], *self._image_columns)
        return named or column in self._source.image_columns


def _holds_ids(column: pa.DataType) -> bool:
    return any(check(column) for check in (is_text, pa.types.is_integer, pa.types.is_null))


if __name__ == "__main__":
    execute(LoadFromHub)
