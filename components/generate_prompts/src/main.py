"""Makes prompts from lists of words and templates."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from prompts import PromptSpace, read_prompts

from fondant_spec.component import LoadComponent, RowContext
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.executor import execute

INTERIOR_DESIGN = Path(__file__).parent / "interior_design.yaml"
ROWS_AT_ONCE = 4096


class GeneratePrompts(LoadComponent):
    """Yields the prompts of a domain, all of them or a sample that is the same each time."""

    def __init__(
        self,
        *,
        prompts: str | None = None,
        n_rows_to_load: int | None = None,
        seed: int = 0,
        class_prompt: str | None = None,
    ) -> None:
        if class_prompt is not None and (prompts is not None or not class_prompt.strip()):
            msg = "class_prompt: give a text, and no prompts beside it."
            raise InvalidArgumentError(msg)
        self._class = class_prompt
        self._file = INTERIOR_DESIGN if prompts is None else Path(prompts)
        self._most = n_rows_to_load
        self._seed = seed

    def load(self, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield `text`, and the words of the lists that the step asks for."""
        if self._class is not None:
            yield pa.RecordBatch.from_pydict({key: [self._class] for key in context.output_fields})
            return
        space = read_prompts(self._file)
        words = sorted(context.output_fields - {"text"})
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
