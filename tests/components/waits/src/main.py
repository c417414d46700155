"""Negate each number, and wait at one of them while a file is there."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute


class Waits(ArrowTransformComponent):
    """Tells in `<gate>.pids` which processes wait, for a test to end them there."""

    def __init__(self, *, at: int = 0, gate: str = "", child: bool = False) -> None:
        self.at = at
        self.gate = gate
        self.child = child

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the negatives, in the end."""
        if self.gate and self.at in batch.column("number").to_pylist():
            self._wait()
        return pa.RecordBatch.from_arrays(
            [batch.column("id"), pc.negate(batch.column("number"))], names=["id", "negative"]
        )

    def _wait(self) -> None:
        gate = Path(self.gate)
        pids = [os.getpid()]
        if gate.exists() and self.child:
            command = [sys.executable, "-c", "import time; time.sleep(600)"]
            pids.append(subprocess.Popen(command).pid)
        waiting = gate.with_suffix(".part")
        waiting.write_text(" ".join(map(str, pids)), encoding="utf-8")
        waiting.replace(gate.with_suffix(".pids"))
        while gate.exists():
            time.sleep(0.05)


if __name__ == "__main__":
    execute(Waits)
