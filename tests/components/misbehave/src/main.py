"""Break the contract of components, in the way that is asked for."""

import os
import signal

import pyarrow as pa

from fondant_spec.component import ArrowTransformComponent, RowContext
from fondant_spec.executor import execute


class OddError(Exception):
    """Cannot be made anew from its text, as errors of some clients cannot."""

    def __init__(self, answer: str, operation: str) -> None:
        super().__init__(f"{operation} gave {answer}")


class Misbehave(ArrowTransformComponent):
    """Every method is a mistake that an author can make."""

    def __init__(self, *, how: str) -> None:
        self.how = how

    def transform(self, batch: pa.RecordBatch, context: RowContext) -> pa.RecordBatch:
        """Return something wrong."""
        columns = {"id": batch.column("id").to_pylist(), "out": batch.column("number").to_pylist()}
        return pa.RecordBatch.from_pydict(getattr(self, f"_{self.how}")(columns, context.rejects))

    def _lose(self, columns, rejects):
        return {name: values[1:] for name, values in columns.items()}

    def _invent(self, columns, rejects):
        return {"id": ["new", *columns["id"][1:]], "out": columns["out"]}

    def _twice(self, columns, rejects):
        return {name: [values[0], *values] for name, values in columns.items()}

    def _reorder(self, columns, rejects):
        return {name: values[::-1] for name, values in columns.items()}

    def _both(self, columns, rejects):
        rejects.add(columns["id"][0], "bad")
        return columns

    def _reject_twice(self, columns, rejects):
        rejects.add(columns["id"][0], "bad")
        rejects.add(columns["id"][0], "worse")
        return self._lose(columns, rejects)

    def _reject_stranger(self, columns, rejects):
        rejects.add("stranger", "bad")
        return columns

    def _wrong_type(self, columns, rejects):
        return {**columns, "out": ["many"] * len(columns["id"])}

    def _no_id(self, columns, rejects):
        return {"out": columns["out"]}

    def _null_id(self, columns, rejects):
        return {"id": [None, *columns["id"][1:]], "out": columns["out"]}

    def _extra(self, columns, rejects):
        return {**columns, "more": columns["out"]}

    def _missing(self, columns, rejects):
        return {"id": columns["id"]}

    def _crash(self, columns, rejects):
        msg = f"a defect of the component at {columns['id'][0]}"
        raise ZeroDivisionError(msg)

    def _die_at_2(self, columns, rejects):
        if 2 in columns["out"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return columns

    def _raise_odd(self, columns, rejects):
        raise OddError("an answer", "an operation")  # noqa: EM101, TRY003

    def _mixed(self, columns, rejects):
        large = columns["out"][0] % 2
        return {**columns, "out": pa.array(columns["out"], pa.int64() if large else pa.int32())}


if __name__ == "__main__":
    execute(Misbehave)
