"""Seeds that stand for a class: what they retrieve is labelled with it, for regularisation."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from image_toolkit.blank_texts import is_blank

CLASS_PROMPT: Final = "class_prompt"


def by_class(batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, str | None]]:
    """Split a batch: first the seeds of no class, with None, then those of each class."""
    if CLASS_PROMPT not in batch.schema.names:
        yield batch, None
        return
    prompts = [None if is_blank(one) else one for one in batch.column(CLASS_PROMPT).to_pylist()]
    for prompt in dict.fromkeys([None, *prompts]):
        chosen = batch.filter(pa.array([one == prompt for one in prompts], pa.bool_()))
        if chosen.num_rows:
            yield chosen, prompt


def with_class(found: pa.RecordBatch, prompt: str | None) -> pa.RecordBatch:
    """Add the class to a batch of results; null for none."""
    column = pa.array([prompt] * found.num_rows, pa.string())
    return found.append_column(CLASS_PROMPT, column)
