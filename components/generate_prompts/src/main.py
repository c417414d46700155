"""Generates prompts from word lists and templates."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from prompts import PromptSpace, read_prompts

from fondant_spec.component import LoadComponent, RowContext
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.executor import execute

INTERIOR_DESIGN = Path(__file__).parent / "interior_design.yaml"
ROWS_AT_ONCE = 4096
MIXING_TYPES = {"mix": pa.string(), "weight": pa.float32()}


class GeneratePrompts(LoadComponent):
    """Yields the prompts of a domain: all of them, or a reproducible sample."""

    def __init__(
        self,
        *,
        prompts: str | None = None,
        n_rows_to_load: int | None = None,
        seed: int = 0,
        class_prompt: str | None = None,
        text: str | None = None,
        mix: str | None = None,
        weight: float | None = None,
    ) -> None:
        given = {"class_prompt": class_prompt, "text": text, "prompts": prompts}
        for name in ("class_prompt", "text"):
            alone = [n for n, value in given.items() if value is not None] == [name]
            if given[name] is not None and not (alone and (given[name] or "").strip()):
                others = "prompts" if name == "class_prompt" else "prompts or class_prompt"
                msg = f"{name}: give a text, and no {others} beside it."
                raise InvalidArgumentError(msg)
        self._one = class_prompt or text
        self._mixing = {"mix": mix, "weight": weight}
        self._file = INTERIOR_DESIGN if prompts is None else Path(prompts)
        self._most = n_rows_to_load
        self._seed = seed

    def load(self, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield `text`, and the words of the lists that the step has to produce."""
        mixing = self._mixing_of(context.output_fields)
        if self._one is not None:
            words = context.output_fields - mixing.keys()
            batches = iter([pa.RecordBatch.from_pydict({word: [self._one] for word in words})])
        else:
            batches = self._combined(sorted(context.output_fields - {"text", *mixing}))
        for batch in batches:
            for name, value in mixing.items():
                column = pa.array([value] * len(batch), MIXING_TYPES[name])
                batch = batch.append_column(name, column)  # noqa: PLW2901 - one by one
            yield batch

    def _mixing_of(self, fields: frozenset[str]) -> dict[str, str | float]:
        """Return the fields for mix_embeddings that are set, which the step has to produce."""
        mixing = {name: value for name, value in self._mixing.items() if value is not None}
        if missing := sorted(mixing.keys() - fields):
            msg = (
                f"{missing[0]}: have the step produce the field, produces={{{missing[0]!r}: "
                f"'{MIXING_TYPES[missing[0]]}'}}."
            )
            raise InvalidArgumentError(msg)
        return mixing

    def _combined(self, words: list[str]) -> Iterator[pa.RecordBatch]:
        space = read_prompts(self._file)
        space.check_lists(words)
        numbers = space.draw(self._most, self._seed)
        for start in range(0, len(numbers), ROWS_AT_ONCE):
            yield _batch(space, numbers[start : start + ROWS_AT_ONCE], words)


def _batch(space: PromptSpace, numbers: list[int], words: list[str]) -> pa.RecordBatch:
    chosen = [space.prompt(number) for number in numbers]
    columns = {name: [prompt.words.get(name) for prompt in chosen] for name in words}
    texts = {"text": [prompt.text for prompt in chosen]}
    fields = [(name, pa.string()) for name in ("text", *words)]
    return pa.RecordBatch.from_pydict({**texts, **columns}, schema=pa.schema(fields))


if __name__ == "__main__":
    execute(GeneratePrompts)
