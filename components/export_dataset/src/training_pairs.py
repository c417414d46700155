"""Converting rows to the pairs that trainers read: images, captions, names, splits, metadata."""

import datetime as dt
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

import pyarrow as pa
from class_images import EMBEDDING
from file_names import SourceNames, stem_of_id
from masks import MASK, Mask, mask_of
from pair_texts import CAPTION, CLASS_PROMPT, MORE_CAPTIONS, Texts, texts_of
from picture_looks import Look, look_of, look_of_file
from PIL import Image
from repeats import Part

from image_toolkit.images.decoding import image_header, pixels_of, trainers_load
from image_toolkit.images.image_header import ImageHeader
from image_toolkit.training.bad_rows import BadRowError
from image_toolkit.training.row_repeats import REPEATS, repeats_of
from image_toolkit.training.splits import REGULARIZATION, SPLIT, TRAIN, VALIDATION, split_of

SOURCE_NAME: Final = "source_name"
"""The metadata key of an image's original name; `file_name` is the exported file."""

SPLITS: Final = (TRAIN, VALIDATION, REGULARIZATION)

SUFFIXES: Final = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
"""The image formats that trainers read, with their suffixes."""

_MODES: Final = ("RGB", "L", "P")
_QUALITY: Final = 95
_SMALL: Final = 128
"""The shorter side, in pixels, below which a JPEG is written without chroma subsampling: in a small
image, a single pixel is a large part of what is compared when the file is read back.
"""
_EACH, _AS_USUAL = 0, -1
_PAIR_FIELDS: Final = frozenset(
    {"id", "image", "file_name", SPLIT, MASK, EMBEDDING, CAPTION, MORE_CAPTIONS, CLASS_PROMPT}
)


@dataclass(frozen=True)
class Pair:
    """An image file, its texts, and its metadata. `suffix` begins with a dot.

    `width` and `height` are the file's, in pixels, and are in the metadata, too. `captioned` is the
    look of the image that was captioned, if the file was made from it. `mask` is set if the rows
    have masks at all. A trainer is to see the pair `repeats` times per epoch.
    """

    stem: str
    split: str
    image: bytes
    suffix: str
    texts: Texts
    metadata: Mapping[str, Any]
    width: int
    height: int
    captioned: Look | None = None
    mask: Mask | None = None
    repeats: int = 1

    @property
    def part(self) -> Part:
        """The part of its split that the pair belongs to."""
        return Part(self.split, self.repeats)

    @cached_property
    def look(self) -> Look:
        """The look of the captioned image: computed once, however many layouts compare with it."""
        return self.captioned or look_of_file(self.image)


@dataclass(frozen=True)
class PairMaker:
    """Converts rows to pairs.

    `kinds` are the image formats to keep; others are converted to JPEG, unless `converts` is false.
    `validation_fraction` is the share of images for validation. `names`, if given, names the files
    after the original ones, and the ids go into the metadata.
    """

    kinds: frozenset[str] = frozenset(SUFFIXES)
    converts: bool = True
    validation_fraction: float = 0.0
    names: SourceNames | None = None

    def pair(self, row: Mapping[str, Any]) -> Pair:
        """Return the pair that a row holds: `id`, `image`, `caption`, and any other fields.

        Raises:
            BadRowError: there is no image or no caption, the split is invalid, the image may not be
                converted, the mask does not fit the image, or the repeats are out of range.
            NotAnImageError: the image cannot be decoded.
        """
        data = row["image"]
        if data is None:
            raise BadRowError(reason="no_image", message="the image is null")
        texts = texts_of(row)
        file = self._trainable(data)
        others = {name: plain(value) for name, value in row.items() if name not in _PAIR_FIELDS}
        if "file_name" in row:
            others[SOURCE_NAME] = row["file_name"]
        if self.names is not None:  # else the file is named by it
            others["id"] = row["id"]
        others |= {"width": file.width, "height": file.height}
        split = split_of(row, self.validation_fraction)
        repeats = repeats_of(row) if split == TRAIN else 1
        if REPEATS in row:
            others[REPEATS] = repeats
        return Pair(
            stem=self._stem(row),
            split=split,
            image=file.content,
            suffix=SUFFIXES[file.kind],
            texts=texts,
            metadata=others,
            width=file.width,
            height=file.height,
            captioned=file.made_from,
            mask=mask_of(row[MASK], file.width, file.height) if MASK in row else None,
            repeats=repeats,
        )

    def _stem(self, row: Mapping[str, Any]) -> str:
        if self.names is None:
            return stem_of_id(row["id"])
        return self.names.stem(row["file_name"], row["id"])

    def _trainable(self, data: bytes) -> "_ImageFile":
        """Return an image file that trainers read.

        Every image is decoded once, since a trainer stops at the first truncated one.
        """
        header = image_header(data)
        kind = header.format
        if kind in self.kinds and _shows_as_it_is(header) and trainers_load(header, data):
            return _ImageFile(data, kind, *header.size)
        if not self.converts:
            message = f"a {kind} of mode {header.mode} that a trainer would not read as it is meant"
            raise BadRowError(reason="needs_conversion", message=message)
        buffer, image = io.BytesIO(), Image.fromarray(pixels_of(header, data))
        colours = _EACH if min(header.size) < _SMALL else _AS_USUAL
        image.save(buffer, "JPEG", quality=_QUALITY, subsampling=colours)
        return _ImageFile(buffer.getvalue(), "JPEG", *header.size, look_of(image))


class _ImageFile(NamedTuple):
    content: bytes
    kind: str
    width: int
    height: int
    made_from: Look | None = None


def _shows_as_it_is(header: ImageHeader) -> bool:
    """Return whether a reader that ignores all metadata shows the image correctly."""
    return (
        header.mode in _MODES
        and not header.transparent
        and header.turned == 1
        and not header.animated
        and header.profile != "other"
    )


def plain(value: Any) -> Any:
    """Return a value as JSON: dates as text, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return value if isinstance(value, str | int | bool | None) else str(value)


def metadata_types(fields: Mapping[str, pa.DataType], *, with_ids: bool) -> dict[str, pa.DataType]:
    """Return the types of the metadata of pairs that are made of rows with these fields.

    `with_ids` says that files are named after the original names of the images.
    """
    types = {name: _plain_type(kind) for name, kind in fields.items() if name not in _PAIR_FIELDS}
    if "file_name" in fields:
        types[SOURCE_NAME] = pa.string()
    if with_ids:
        types["id"] = pa.string()
    return types | {"width": pa.int32(), "height": pa.int32()}


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that `plain` gives to a value of this type."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(child.name, _plain_type(child.type)) for child in kind])
    keeps = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    return kind if any(test(kind) for test in keeps) else pa.string()
