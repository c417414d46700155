"""Break the contract of components, in the way that is asked for."""

import pyarrow as pa

from fondant_spec.component import ArrowTransformComponent
from fondant_spec.executor import execute


class Misbehave(ArrowTransformComponent):
    """Every method is a mistake that an author can make."""

    def __init__(self, *, how: str) -> None:
        self.how = how

    def transform(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return something wrong."""
        columns = {"id": batch.column("id").to_pylist(), "out": batch.column("number").to_pylist()}
        return pa.RecordBatch.from_pydict(getattr(self, f"_{self.how}")(columns))

    def _lose(self, columns):
        return {name: values[1:] for name, values in columns.items()}

    def _invent(self, columns):
        return {"id": ["new", *columns["id"][1:]], "out": columns["out"]}

    def _twice(self, columns):
        return {name: [values[0], *values] for name, values in columns.items()}

    def _reorder(self, columns):
        return {name: values[::-1] for name, values in columns.items()}

    def _both(self, columns):
        self.rejects.add(columns["id"][0], "bad")
        return columns

    def _reject_twice(self, columns):
        self.rejects.add(columns["id"][0], "bad")
        self.rejects.add(columns["id"][0], "worse")
        return self._lose(columns)

    def _reject_stranger(self, columns):
        self.rejects.add("stranger", "bad")
        return columns

    def _wrong_type(self, columns):
        return {**columns, "out": ["many"] * len(columns["id"])}

    def _no_id(self, columns):
        return {"out": columns["out"]}

    def _null_id(self, columns):
        return {"id": [None, *columns["id"][1:]], "out": columns["out"]}

    def _extra(self, columns):
        return {**columns, "more": columns["out"]}

    def _missing(self, columns):
        return {"id": columns["id"]}

    def _crash(self, columns):
        msg = f"a defect of the component at {columns['id'][0]}"
        raise ZeroDivisionError(msg)

    def _mixed(self, columns):
        large = columns["out"][0] % 2
        return {**columns, "out": pa.array(columns["out"], pa.int64() if large else pa.int32())}


if __name__ == "__main__":
    execute(Misbehave)
