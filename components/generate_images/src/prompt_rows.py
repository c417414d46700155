"""The rows to generate images for, and their prompts."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa
from prompt_lengths import PromptLengths

from fondant_spec.component import SetupContext
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InvalidArgumentError
from image_toolkit.blank_texts import is_blank
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.training.splits import SPLIT

PROMPT: Final = "caption"
NEGATIVE: Final = "negative_prompt"


@dataclass(frozen=True)
class PromptRow:
    """A row; skipped if it has no prompt. Without a negative one, the model's default is used."""

    row_id: str
    prompt: str | None = None
    negative: str | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether there is something to generate."""
        return self.prompt is not None

    @property
    def has_negative(self) -> bool:
        """Whether it has a negative prompt."""
        return self.negative is not None


@dataclass(frozen=True)
class PromptRows:
    """The arguments that select rows, and extend their prompts."""

    split: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    negative_prompt: str | None = None

    def check(self, context: SetupContext) -> None:
        """Check that rows have a split, if one is selected.

        Raises:
            InvalidArgumentError: they do not.
        """
        if self.split is not None and SPLIT not in context.input_fields:
            msg = (
                f"split: only rows of {self.split!r} are to be drawn, but rows have no field "
                f"{SPLIT!r}; put split_rows before this step, or leave the argument out."
            )
            raise InvalidArgumentError(msg)

    def has_negatives(self, context: SetupContext) -> bool:
        """Return whether any row may have a negative prompt."""
        return self.negative_prompt is not None or NEGATIVE in context.input_fields

    def metadata(self) -> dict[str, Any]:
        """Return the field metadata about prompts."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def of(
        self, batches: Iterator[pa.RecordBatch], lengths: PromptLengths, rejects: Rejects
    ) -> Iterator[PromptRow]:
        """Yield the selected rows; those that lack a required prompt are rejects."""
        frame = Frame(prefix=self.prefix, suffix=self.suffix)
        for batch in batches:
            for row in batch.to_pylist():
                if self.split is not None and row[SPLIT] != self.split:
                    yield PromptRow(row["id"])
                elif is_blank(row[PROMPT]):
                    rejects.add(row["id"], "no_prompt", "the caption is empty, or invisible")
                else:
                    prompt = frame.around(row[PROMPT])
                    lengths.add(prompt)
                    yield PromptRow(row["id"], prompt, self._negative(row))

    def _negative(self, row: dict[str, Any]) -> str | None:
        """Return the negative prompt of a row: its own, or else that of the step."""
        own = row.get(NEGATIVE)
        text = self.negative_prompt if own is None else own
        return None if is_blank(text) else text


def in_groups(rows: Iterator[PromptRow], size: int) -> Iterator[list[PromptRow]]:
    """Yield the rows in their order, in groups with `size` rows to generate."""
    group: list[PromptRow] = []
    drawn = 0
    for row in rows:
        group.append(row)
        drawn += row.is_drawn
        if drawn == size:
            yield group
            group, drawn = [], 0
    if group:
        yield group
