"""Copy each number, and say which model did it."""

import os
import time
from pathlib import Path

import pyarrow as pa

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute

SCHEMA = pa.schema([("id", pa.string()), ("stamped", pa.int64()), ("by", pa.string())])


class Stamp(ArrowTransformComponent):
    """Stands for a step whose model may become another one between two attempts."""

    def __init__(
        self,
        *,
        model: str,
        log: str = "",
        seconds: float = 0.0,
        broken: str = "",
        refused: str = "",
    ) -> None:
        self.model = Path(model)
        self.log = log
        self.seconds = seconds
        self.broken = broken
        self.refused = refused

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
        refused = Path(self.refused).read_text(encoding="utf-8").split() if self.refused else []
        kept = []
        for row in batch.to_pylist():
            if str(row["number"]) in refused:
                context.rejects.add(row["id"], "refused")
            else:
                kept.append({"id": row["id"], "stamped": row["number"], "by": self._model()})
        return pa.RecordBatch.from_pylist(kept, SCHEMA)

    def _model(self) -> str:
        return self.model.read_text(encoding="utf-8")

    def teardown(self) -> None:
        """Say that it is over."""
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as log:
                log.write(f"{os.getpid()} down\n")

    def field_metadata(self) -> dict[str, dict[str, str]]:
        """Return the model."""
        return {"stamped": {"model": self._model()}}


if __name__ == "__main__":
    execute(Stamp)
