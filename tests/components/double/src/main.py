"""Double each number."""

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute


class Double(ArrowTransformComponent):
    """Multiplies."""

    def __init__(self, *, factor: int = 2, reject_odd: bool = False, lexicon: str = "") -> None:
        self.factor = factor
        self.reject_odd = reject_odd
        self.lexicon = lexicon

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return the multiples; null cells and, where asked for, odd numbers are rejected."""
        keep = []
        for row in batch.to_pylist():
            if row["number"] is None:
                context.rejects.add(row["id"], "no_number")
            elif self.reject_odd and row["number"] % 2:
                context.rejects.add(row["id"], "odd", f"{row['number']} is odd", attempts=3)
            keep.append(row["id"] not in context.rejects.ids())
        kept = batch.filter(pa.array(keep, pa.bool_()))
        double = pc.multiply(kept.column("number"), self.factor)
        return pa.RecordBatch.from_arrays([kept.column("id"), double], names=["id", "double"])

    def field_metadata(self) -> dict[str, dict[str, int]]:
        """Tell the factor."""
        return {"double": {"factor": self.factor}}


if __name__ == "__main__":
    execute(Double)
