"""Rules that rows must satisfy, evaluated by a database that can reach nothing but these rows."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.expressions import check_expression, lock, named_fields

UNKNOWN: Final = -1
"""What a rule says of a row where it is neither true (1) nor false (0)."""

_LONGEST: Final = 60
"""Signs that are told of a text."""

_LOST: Final = re.compile(r'column "([^"]+)" not found')


class Rules:
    """Named expressions over the columns of a schema; `others` are what may be meant by a typo.

    Raises:
        InvalidArgumentError: one is no expression, names what is no column, or is not about truth.
    """

    def __init__(
        self, rules: Mapping[str, str], schema: pa.Schema, others: Sequence[str] = ()
    ) -> None:
        self._connection = duckdb.connect(":memory:")
        self._connection.execute("SET python_enable_replacements = false")
        lock(self._connection)
        self._rules = rules
        self._others = others
        self._query = self._checked(rules, schema)
        self._check_types(schema)
        columns = {name.lower(): name for name in schema.names}
        self._named = {}
        for rule, text in rules.items():
            named = map(str.lower, named_fields(text, rule))
            self._named[rule] = [columns[one] for one in dict.fromkeys(named) if one in columns]

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def outcomes(self, batch: pa.RecordBatch) -> "np.ndarray[tuple[int, int], np.dtype[np.int8]]":
        """Return what each rule says of each row: 1, 0 or `UNKNOWN`, of shape (rules, rows).

        A number that is none (NaN) counts as null, in a column and where a rule computes it: it is
        not above all others, as SQL has it.

        Raises:
            InvalidArgumentError: a rule cannot be evaluated.
        """
        answer = self._select(pa.Table.from_batches([batch]))
        columns = [
            pc.fill_null(column.cast(pa.int8()), UNKNOWN).to_numpy() for column in answer.columns
        ]
        return np.stack(columns)

    def told(self, name: str, batch: pa.RecordBatch, place: int) -> str:
        """Return a rule, and the values that it judged of a row."""
        fields = self._named[name]
        values = (f"{field} {_in_words(batch.column(field)[place].as_py())}" for field in fields)
        return f"{self._rules[name]} ({', '.join(values)})" if fields else self._rules[name]

    def _checked(self, rules: Mapping[str, str], schema: pa.Schema) -> str:
        """Return the rules as a query selects them."""
        fields = [*schema.names, *self._others]
        self._connection.register("given", schema.empty_table())
        checked = [
            check_expression(self._connection, text, "given", fields, f"filter_rows: rule {name!r}")
            for name, text in rules.items()
        ]
        self._connection.unregister("given")
        return ", ".join(checked)

    def _check_types(self, schema: pa.Schema) -> None:
        types = self._select(schema.empty_table()).schema.types
        for (name, text), data_type in zip(self._rules.items(), types, strict=True):
            if not pa.types.is_boolean(data_type):
                msg = (
                    f"filter_rows: rule {name!r} is of type {data_type}, neither true nor false: "
                    f"{text}; compare it with something, as in `{text} > 0`."
                )
                raise InvalidArgumentError(msg)

    def _select(self, rows: pa.Table) -> pa.Table:
        self._connection.register("given", rows)
        try:
            # Beside the id, for an expression over all rows at once is none that a row can satisfy.
            relation = self._connection.table("given").project(f"id, {self._query}")
            return relation.to_arrow_table().drop_columns("id")
        except duckdb.Error as error:
            told = str(error).partition("\n")[0]
            if (lost := _LOST.search(told)) and lost[1] in self._others:
                told = f"field {lost[1]!r} holds more than a number, a text, a time or a truth"
            msg = f"filter_rows: {told}, in: {'; '.join(self._rules.values())}"
            raise InvalidArgumentError(msg) from None
        finally:
            self._connection.unregister("given")


def _in_words(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
