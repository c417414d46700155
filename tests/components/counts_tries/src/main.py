"""Keep in its own folder how often it was tried, and fail the first time."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.errors import InputDataError
from fondant_spec.executor import execute


class CountTries(WriteComponent):
    """Writes how many tries it took."""

    def setup(self, context: SetupContext) -> None:
        """Keep the folders."""
        self.folder = Path(context.output_directory)
        self.unfinished = Path(context.unfinished_directory)

    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Leave a file for this try, and go no further if it is the first."""
        for _ in batches:
            pass
        self.unfinished.mkdir(parents=True, exist_ok=True)
        tries = len(list(self.unfinished.iterdir())) + 1
        (self.unfinished / str(tries)).touch()
        if tries == 1:
            msg = "counts_tries: the first try fails; try again."
            raise InputDataError(msg)
        path = self.folder / "tries.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(tries), encoding="utf-8")
        return [str(path)]


if __name__ == "__main__":
    execute(CountTries)
