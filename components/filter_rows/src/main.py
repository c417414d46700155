"""Keeps the rows for which all rules are true."""

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from rules import UNKNOWN, Rules

from fondant_spec.component import GatherComponent, RowContext, SetupContext
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.executor import execute

logger = logging.getLogger(__name__)


class FilterRows(GatherComponent):
    """Leaves out rows by rules; one process, so that it can tell what each rule takes in all."""

    def __init__(
        self,
        *,
        where: str | None = None,
        rules: dict[str, Any] | None = None,
        unknown: str = "drop",
    ) -> None:
        if (where is None) == (not rules):
            msg = "filter_rows: give either `where`, an expression, or `rules`, some by name."
            raise InvalidArgumentError(msg)
        self._texts = {"where": where} if where is not None else dict(rules or {})
        for name, text in self._texts.items():
            if not isinstance(text, str) or not name.isidentifier():
                msg = (
                    "filter_rows: a rule has a name of letters, digits and `_`, and an expression, "
                    f"not {name!r}: {text!r}."
                )
                raise InvalidArgumentError(msg)
        self._drops_unknown = unknown == "drop"

    def setup(self, context: SetupContext) -> None:
        """Read the rules, and hold them against the fields that there are.

        Raises:
            InvalidArgumentError: a rule is no expression, or names what is no scalar field.
        """
        fields = context.input_fields
        schema = pa.schema([("id", pa.string()), *((n, f.type) for n, f in fields.items())])
        others = [name for name in context.dataset_fields if name not in fields]
        self._rules = Rules(self._texts, schema, others)

    def teardown(self) -> None:
        """Close the database."""
        if hasattr(self, "_rules"):
            self._rules.close()

    def gather(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the ids of the rows that stay."""
        rows = stayed = 0
        alone: Counter[str] = Counter()
        names = [*self._texts]
        for batch in batches:
            outcomes = self._rules.outcomes(batch)
            breaks = outcomes == 0
            if self._drops_unknown:
                breaks |= outcomes == UNKNOWN
            alone.update(dict(zip(names, breaks.sum(axis=1).tolist(), strict=True)))
            stays = ~breaks.any(axis=0)
            ids = batch.column("id")
            for place in np.flatnonzero(~stays).tolist():
                first, *others = np.flatnonzero(breaks[:, place]).tolist()
                ending = "_unknown" if outcomes[first, place] == UNKNOWN else ""
                also = f"; also {', '.join(names[one] for one in others)}" if others else ""
                message = f"{self._rules.told(names[first], batch, place)}{also}"
                context.rejects.filter(ids[place].as_py(), f"{names[first]}{ending}", message)
            rows, stayed = rows + len(batch), stayed + int(stays.sum())
            yield pa.RecordBatch.from_pydict({"id": ids.filter(pa.array(stays))})
        for name, count in alone.items():
            logger.info("rule %s alone takes %d of %d rows", name, count, rows)
        if rows and not stayed:
            logger.warning("no row of %d is left: the rules take them all", rows)


if __name__ == "__main__":
    execute(FilterRows)
