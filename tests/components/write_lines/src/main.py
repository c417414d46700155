"""Write each row as a line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.executor import execute


class WriteLines(WriteComponent):
    """Writes to the folder of the step."""

    def setup(self, context: SetupContext) -> None:
        """Keep the folder."""
        self.folder = Path(context.output_directory)

    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Write one file."""
        path = self.folder / "lines.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            for batch in batches:
                file.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())
        return [str(path)]


if __name__ == "__main__":
    execute(WriteLines)
