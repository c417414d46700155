"""Leave the folder of a trained model, as a step that fine-tunes does."""

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.executor import execute
from image_toolkit.publishing.published_folder import published
from image_toolkit.training.training_folder import TRAINING


class Train(WriteComponent):
    """Copies what was trained elsewhere."""

    def __init__(self, *, trained: str, told: dict[str, Any]) -> None:
        self.trained = Path(trained)
        self.told = told

    def setup(self, context: SetupContext) -> None:
        """Keep the folder."""
        self.folder = context.output_directory

    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Write the files of the folder, and what is told of them."""
        deque(batches, 0)
        files = [path for path in sorted(self.trained.rglob("*")) if path.is_file()]
        with published(self.folder, {}) as folder:
            for path in files:
                folder.write(path.relative_to(self.trained).as_posix(), path.read_bytes())
            folder.write(TRAINING, json.dumps(self.told).encode())
        return [f"{self.folder}/export.json"]


if __name__ == "__main__":
    execute(Train)
