"""The columns of layouts that are read as tables: the caption, and all metadata."""

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
from layout import Layout
from pair_texts import MORE_CAPTIONS
from training_pairs import Pair

TEXT: Final = "text"
_READ_LISTS: Final = ("sd15", "sdxl")
"""The models whose `diffusers` scripts pick one caption of a list; those of others need texts."""


class Columns:
    """The columns of a table of pairs, `types` by name.

    If rows may have several captions, `text` is a list of all with `lists`; otherwise it is the
    first one, and the others have a column of their own. `tokens` is the column with the number of
    tokens of the longest caption.
    """

    def __init__(
        self,
        text: str,
        tokens: str,
        metadata: Mapping[str, pa.DataType],
        *,
        several: bool,
        lists: bool,
    ) -> None:
        self._text = text
        self._tokens = tokens
        self._lists = lists and several
        self._others = several and not lists
        texts = pa.list_(pa.string())
        self.types: dict[str, pa.DataType] = {text: texts if self._lists else pa.string()}
        if self._others:
            self.types[MORE_CAPTIONS] = texts
        self.types |= {**metadata, tokens: pa.int32()}

    def row(self, pair: Pair, tokens: int) -> dict[str, Any]:
        """Return the cells of a pair, by column."""
        first, *others = pair.texts.captions
        row: dict[str, Any] = {self._text: [first, *others] if self._lists else first}
        if self._others:
            row[MORE_CAPTIONS] = others
        return {**row, **pair.metadata, self._tokens: tokens}

    def captions(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Return all captions of a row that was read back."""
        if self._lists:
            return tuple(row[self._text])
        return (row[self._text], *(row[MORE_CAPTIONS] if self._others else ()))


def columns_of(layout: Layout) -> Columns:
    """Return the columns of a table for the scripts of `diffusers`."""
    return Columns(
        TEXT,
        layout.budget.field,
        layout.settings.metadata,
        several=layout.settings.several_captions,
        lists=layout.model.key in _READ_LISTS,
    )
