"""Masks among the images of a folder, in the layouts of trainers: they are no rows of their own.

Those of OneTrainer are beside their images, `1-masklabel.png`. Those of others are in `masks/`,
under the paths of their images, or under the first folder and the name only: kohya's are
`masks/train/1.png` for the image `train/4_images/1.jpg`. A folder of that name may just as well
hold photos of masks: it holds no masks if there are texts or metadata for its images. If most of
its images pair with others, all are masks; if few do, only those with the same path are and, if
there is one of these, images that look like masks.
"""

import posixpath
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from file_kinds import is_metadata, stem_of

from image_toolkit.text_encodings import printable

_FOLDER: Final = "masks/"
_LABEL: Final = "-masklabel"
_MOST_NAMED: Final = 5

_OF_NONE: Final = "masks of no image"
_OF_SEVERAL: Final = "masks of one image or another"
_SECOND: Final = "masks of images that have one already"


@dataclass
class Masks:
    """Which images are masks.

    `of` maps images to masks; `left_out` maps masks without an image to the reason. `notes` say
    what is not loaded as its name suggests.
    """

    of: dict[str, str] = field(default_factory=dict)
    left_out: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)

    @property
    def unused(self) -> list[str]:
        """The masks without an image."""
        return [mask for masks in self.left_out.values() for mask in masks]

    def give(self, mask: str, images: Iterable[str], otherwise: str) -> None:
        """Assign a mask to the images that have none yet; if there are none, record why."""
        without = [image for image in images if image not in self.of]
        self.of |= dict.fromkeys(without, mask)
        if not without:
            self.left_out[otherwise].append(mask)

    def counted(self) -> str:
        """Describe how many images are masks of others; empty if none are."""
        masks = {*self.of.values()}
        such_as = f"{len(masks)} images, such as {printable(min(masks))}" if masks else ""
        return such_as and f"no rows, but masks of others: {such_as}"

    def warnings(self) -> Iterator[str]:
        """Yield warnings about what is left out, and what is taken for photos."""
        yield from self.notes
        for reason, left in self.left_out.items():
            more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
            named = ", ".join(map(printable, left[:_MOST_NAMED]))
            yield f"left out, as {reason}: {named}{more}"


def masks_of(
    images: Collection[str],
    others: Collection[str],
    looks_as_mask: Callable[[str], bool] = lambda _: False,
) -> Masks:
    """Find which images are masks of which; `others` are files that may describe images.

    `looks_as_mask` is called only for images that cannot be classified by their paths.
    """
    found = Masks()
    labels = sorted((image for image in images if _is_label(image)), key=_png_first)
    below = [image for image in images if image.startswith(_FOLDER) and not _is_label(image)]
    if not labels and not below:
        return found
    told_of = {stem_of(path) for path in others}
    if any(path.startswith(_FOLDER) and is_metadata(path) for path in others):
        told_of.update(map(stem_of, below))
    rows = {*images} - {*labels}
    pairs = _pairs(sorted(below, key=_png_first), rows - {*below})
    photos, why = _photos(pairs, told_of, looks_as_mask)
    if photos:
        which = "the images" if len(photos) == len(pairs) else f"{len(photos)} images"
        such = f", such as {printable(min(photos))}," if len(photos) < len(pairs) else ""
        note = f"{which} in {_FOLDER}{such} are loaded as rows, no masks, since {why}"
        found.notes.append(note)
        pairs = {mask: pair for mask, pair in pairs.items() if mask not in photos}
    by_stem = _grouped(rows - {*pairs}, stem_of)
    for label in labels:
        pictures = by_stem.get(stem_of(label).removesuffix(_LABEL), [])
        if pictures or stem_of(label) not in told_of:
            found.give(label, pictures, _SECOND if pictures else _OF_NONE)
    for mask, pair in pairs.items():
        found.give(mask, pair.images, pair.otherwise)
    return found


class _Pair(NamedTuple):
    """The images of a mask; `near` are those that match its first folder and its name.

    `is_exact` says whether the images match its full path.
    """

    images: Collection[str]
    near: Collection[str]
    is_exact: bool

    @property
    def otherwise(self) -> str:
        """Why no image gets the mask, if none does."""
        if self.images:
            return _SECOND
        return _OF_SEVERAL if self.near else _OF_NONE


def _pairs(masks: Sequence[str], images: Collection[str]) -> dict[str, _Pair]:
    """Return the images of each mask in the folder: by path, or by name if unambiguous."""
    by_stem, by_name = _grouped(images, stem_of), _grouped(images, _name)
    paths = {mask: mask.removeprefix(_FOLDER) for mask in masks}
    masks_by_name = _grouped(paths.values(), _name)
    pairs = {}
    for mask, path in paths.items():
        near = by_name.get(_name(path), [])
        only = near if len(near) == len(masks_by_name[_name(path)]) == 1 else []
        exact = by_stem.get(stem_of(path))
        pairs[mask] = _Pair(exact or only, near, is_exact=bool(exact))
    return pairs


def _photos(
    pairs: Mapping[str, _Pair], told_of: Collection[str], looks_as_mask: Callable[[str], bool]
) -> tuple[Collection[str], str]:
    """Return the files in the folder that are not masks, and why; none if all are masks."""
    paired = [mask for mask, pair in pairs.items() if pair.near]
    described = next((mask for mask in pairs if stem_of(mask) in told_of), None)
    if described is not None:
        return pairs.keys(), f"a caption or metadata tell of {printable(described)}"
    if 2 * len(paired) > len(pairs):
        return (), ""
    why = f"{len(paired)} of {len(pairs)} have the name of another image"
    exact = {mask for mask, pair in pairs.items() if pair.is_exact}
    if not exact:
        return pairs.keys(), why
    photos = {mask for mask in pairs.keys() - exact if not looks_as_mask(mask)}
    return photos, f"{why}, and these are no grey PNG files"


def _grouped(paths: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for path in sorted(paths):
        groups[key(path)].append(path)
    return dict(groups)


def _name(path: str) -> str:
    """Return the first folder of a path, and its file name without suffix."""
    first, below, _ = path.partition("/")
    return f"{first}/{posixpath.basename(stem_of(path))}" if below else stem_of(path)


def _is_label(image: str) -> bool:
    return stem_of(image).endswith(_LABEL)


def _png_first(path: str) -> tuple[str, bool, str]:
    """Sort key that puts PNG, the format of trainers' masks, first among files of one stem."""
    return stem_of(path), not path.lower().endswith(".png"), path
