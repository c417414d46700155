"""What all edits together come to: for each cell, what it holds, and where people disagree."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from image_toolkit.edits.edit import CAPTION, TAG, Edit, Value, text_cell, text_of


@dataclass(frozen=True)
class Cell:
    """The edits of one cell that no other edit took the place of, the oldest first.

    There are several where people edited it without seeing each other's edit. The oldest one
    stands until somebody settles it.
    """

    heads: tuple[Edit, ...]

    @property
    def edit(self) -> Edit:
        """The edit that stands."""
        return self.heads[0]

    @property
    def value(self) -> Value:
        """What the cell holds; None where it is the steps' again."""
        return self.edit.value

    @property
    def stands(self) -> bool:
        """Whether somebody says something of the cell."""
        return self.value is not None or bool(self.rivals)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the edits that the next edit would replace."""
        return tuple(edit.id for edit in self.heads)

    @property
    def rivals(self) -> tuple[Edit, ...]:
        """The later edits that say otherwise, and do not stand."""
        return tuple(edit for edit in self.heads[1:] if edit.value != self.value)


Cells = Mapping[tuple[str, str], Cell]


def cells_of(edits: Iterable[Edit]) -> dict[tuple[str, str], Cell]:
    """Return what each edited cell holds.

    What an edit was made on top of is in the edit, so the order in which they come, and the clocks
    of the machines that they come from, change nothing but who was first.
    """
    by_cell: dict[tuple[str, str], dict[str, Edit]] = {}
    for edit in edits:
        by_cell.setdefault(edit.cell, {})[edit.id] = edit
    return {cell: _cell(list(own.values())) for cell, own in by_cell.items()}


def by_image(cells: Cells) -> dict[str, dict[str, Cell]]:
    """Return the cells of each image by field."""
    found: dict[str, dict[str, Cell]] = {}
    for (image, field), cell in cells.items():
        found.setdefault(image, {})[field] = cell
    return found


def for_text(cells: Mapping[str, Cell], text: Value) -> dict[str, Cell]:
    """Return an image's cells as they are for a row for which the steps wrote a caption.

    What is said of that caption alone goes before what is said of the image, until it is undone.
    """
    found = {field: cell for field, cell in cells.items() if text_of(field) is None}
    own = cells.get(text_cell(text))
    if own is not None and own.stands:
        found[CAPTION] = own
    return found


def ids_for_text(cells: Mapping[str, Cell], text: Value) -> tuple[str, ...]:
    """Return the ids that one more edit of a row's caption takes the place of."""
    both = (for_text(cells, text).get(CAPTION), cells.get(text_cell(text)))
    return tuple(dict.fromkeys(id_ for cell in both if cell is not None for id_ in cell.ids))


def tags_of(cells: Mapping[str, Cell]) -> tuple[list[str], list[str]]:
    """Return the tags that the cells of an image add, and those that they remove, sorted."""
    tags = {
        field.removeprefix(TAG): cell.value
        for field, cell in cells.items()
        if field.startswith(TAG) and cell.value is not None
    }
    return sorted(t for t in tags if tags[t]), sorted(t for t in tags if not tags[t])


def with_tags(tags: Iterable[str], cells: Mapping[str, Cell]) -> list[str]:
    """Return an image's tags after the edits: its own in their order, then those added."""
    added, removed = tags_of(cells)
    return [tag for tag in dict.fromkeys([*tags, *added]) if tag not in removed]


def _cell(edits: list[Edit]) -> Cell:
    replaced = {id_ for edit in edits for id_ in edit.after}
    heads = [edit for edit in edits if edit.id not in replaced]
    # Edits that name each other are nobody's honest work; then all of them count.
    return Cell(tuple(sorted(heads or edits, key=lambda edit: (edit.at, edit.id))))
