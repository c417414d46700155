"""Tell a secret wherever a component can tell anything."""

import logging
import sys

import pyarrow as pa

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute

logger = logging.getLogger(__name__)


class Leak(ArrowTransformComponent):
    """Has a secret, and no discretion."""

    def __init__(self, *, secret: str, fails: bool = False) -> None:
        self.secret = secret
        self.fails = fails

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return all rows but the first, which is rejected with the secret as its message."""
        print(f"signing in with {self.secret}")  # noqa: T201 - as a careless author does
        sys.stderr.write(f"signing in with {self.secret}\n")
        logger.warning("signing in with %s", self.secret)
        context.rejects.add(batch.column("id")[0].as_py(), "told", f"{self.secret} was refused")
        if self.fails:
            msg = f"{self.secret} was refused"
            raise RuntimeError(msg)
        return batch.slice(1).rename_columns(["id", "told"])

    def field_metadata(self) -> dict[str, dict[str, str]]:
        """Tell the secret."""
        return {"told": {"made_with": self.secret}}


if __name__ == "__main__":
    execute(Leak)
