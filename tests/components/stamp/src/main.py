"""Copy each number, and say which model did it."""

import os
import time
from pathlib import Path

import pyarrow as pa

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute


class Stamp(ArrowTransformComponent):
    """Stands for a step whose model may become another one between two attempts."""

    def __init__(
        self, *, model: str, log: str = "", seconds: float = 0.0, broken: str = ""
    ) -> None:
        self.model = Path(model)
        self.log = log
        self.seconds = seconds
        self.broken = broken

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the numbers."""
        numbers = batch.column("number")
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as log:
                log.write(f"{os.getpid()} {numbers[0]}\n")
        time.sleep(self.seconds)
        at = Path(self.broken).read_text(encoding="utf-8") if self.broken else ""
        if at in map(str, numbers.to_pylist()):
            msg = f"broken at {at}"
            raise RuntimeError(msg)
        return pa.RecordBatch.from_arrays([batch.column("id"), numbers], names=["id", "stamped"])

    def teardown(self) -> None:
        """Say that it is over."""
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as log:
                log.write(f"{os.getpid()} down\n")

    def field_metadata(self) -> dict[str, dict[str, str]]:
        """Return the model."""
        return {"stamped": {"model": self.model.read_text(encoding="utf-8")}}


if __name__ == "__main__":
    execute(Stamp)
