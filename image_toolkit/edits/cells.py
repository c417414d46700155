"""The result of all edits: the value of each cell, and where people disagree."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from image_toolkit.edits.edit import CAPTION, TAG, Edit, Value, text_cell, text_of


@dataclass(frozen=True)
class Cell:
    """The edits of a cell that no other edit supersedes, oldest first.

    There are several if people edited it without seeing each other's edit. The oldest one applies
    until somebody resolves it.
    """

    heads: tuple[Edit, ...]

    @property
    def edit(self) -> Edit:
        """The edit that applies."""
        return self.heads[0]

    @property
    def value(self) -> Value:
        """The cell's value; None if it is that of the steps again."""
        return self.edit.value

    @property
    def stands(self) -> bool:
        """Whether any edit applies to the cell."""
        return self.value is not None or bool(self.rivals)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the edits that the next edit would supersede."""
        return tuple(edit.id for edit in self.heads)

    @property
    def rivals(self) -> tuple[Edit, ...]:
        """The later edits with another value, which do not apply."""
        return tuple(edit for edit in self.heads[1:] if edit.value != self.value)


Cells = Mapping[tuple[str, str], Cell]


def cells_of(edits: Iterable[Edit]) -> dict[tuple[str, str], Cell]:
    """Return the edited cells.

    Each edit contains the ids of those it supersedes, so the order in which they arrive, and the
    clocks of the machines that they come from, only affect which one was first.
    """
    by_cell: dict[tuple[str, str], dict[str, Edit]] = {}
    for edit in edits:
        by_cell.setdefault(edit.cell, {})[edit.id] = edit
    return {cell: _cell(list(own.values())) for cell, own in by_cell.items()}


def by_image(cells: Cells) -> dict[str, dict[str, Cell]]:
    """Return the cells of each image, by field."""
    found: dict[str, dict[str, Cell]] = {}
    for (image, field), cell in cells.items():
        found.setdefault(image, {})[field] = cell
    return found


def for_text(cells: Mapping[str, Cell], text: Value) -> dict[str, Cell]:
    """Return an image's cells for a row with a given caption from the steps.

    Edits of that caption alone take precedence over those of the image, until they are undone.
    """
    found = {field: cell for field, cell in cells.items() if text_of(field) is None}
    own = cells.get(text_cell(text))
    if own is not None and own.stands:
        found[CAPTION] = own
    return found


def ids_for_text(cells: Mapping[str, Cell], text: Value) -> tuple[str, ...]:
    """Return the ids of the edits that one more edit of a row's caption supersedes."""
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
    """Return an image's tags after the edits: its own in order, then those added."""
    added, removed = tags_of(cells)
    return [tag for tag in dict.fromkeys([*tags, *added]) if tag not in removed]


def _cell(edits: list[Edit]) -> Cell:
    replaced = {id_ for edit in edits for id_ in edit.after}
    heads = [edit for edit in edits if edit.id not in replaced]
    # Edits that supersede each other are not genuine; then all of them count.
    return Cell(tuple(sorted(heads or edits, key=lambda edit: (edit.at, edit.id))))
