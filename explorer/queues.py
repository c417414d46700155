"""The order in which rows are reviewed: the most worthwhile first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from explorer.overlay import quoted
from explorer.tables import Table, Tables
from explorer.views import number_of
from fondant_spec.errors import InvalidArgumentError
from image_toolkit.edits.edit import CAPTION
from image_toolkit.expressions import check_expression

RANDOM: Final = "random"
LOWEST: Final = "lowest"
REPEATED: Final = "repeated"
BORDER: Final = "border"

KINDS: Final = {
    RANDOM: "a random sample",
    LOWEST: "lowest values of a field",
    BORDER: "nearest to a value of a field",
    REPEATED: "repeated captions and phrases",
}

_SAMPLE: Final = 100
_WORDS: Final = f"string_split(regexp_replace(lower({CAPTION}), '[^\\w ]', '', 'g'), ' ')"
_TRIGRAMS: Final = (
    f"list_transform(range(1, len({_WORDS}) - 1), lambda i: list_slice({_WORDS}, i, i + 2))"
)
_REPEATS: Final = f"(len({_TRIGRAMS}) - len(list_distinct({_TRIGRAMS})))"


@dataclass(frozen=True)
class Queue:
    """The first `size` rows in an order of some kind, with a `field` and `value` if it needs them.

    `where` is a filter expression for the rows to review, such as a flag for poor captions.
    """

    kind: str = RANDOM
    field: str = ""
    value: float = 0.0
    size: int = _SAMPLE
    seed: int = 1
    where: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str], table: Table) -> "Queue":
        """Return the queue that a query string describes.

        Raises:
            InvalidArgumentError: there is no such kind or field.
        """
        kind = query.get("kind", RANDOM)
        field = query.get("field", "")
        if kind not in KINDS:
            msg = f"there is no queue {kind!r}; there are {', '.join(KINDS)}."
            raise InvalidArgumentError(msg)
        if kind in (LOWEST, BORDER) and field not in table.numbers:
            msg = f"name a field with numbers: {', '.join(table.numbers) or 'there is none'}."
            raise InvalidArgumentError(msg)
        if kind == REPEATED and not table.has_captions:
            msg = "the dataset has no captions."
            raise InvalidArgumentError(msg)
        try:
            value = float(query.get("value") or 0)
        except ValueError:
            msg = f"value must be a number, not {query['value']!r}."
            raise InvalidArgumentError(msg) from None
        size = min(max(number_of(query, "size", _SAMPLE), 1), 10_000)
        where = query.get("where", "").strip()
        return cls(kind, field, value, size, number_of(query, "seed", 1), where)

    @property
    def address(self) -> str:
        """The query string of this queue, without the `?`."""
        return urlencode({k: v for k, v in vars(self).items() if v != getattr(Queue(), k)})

    def source(self, tables: Tables, table: Table) -> str:
        """Return the SQL for the rows to review.

        Raises:
            InvalidArgumentError: `where` is not a valid expression over the fields.
        """
        if not self.where:
            return table.shown
        with tables.cursor() as cursor:
            where = check_expression(cursor, self.where, table.shown, table.fields)
        return f"(SELECT * FROM {table.shown} WHERE {where})"

    def sql(self, source: str) -> tuple[str, list[Any]]:
        """Return the SQL query for the ids of the queue, in order, and the query's parameters."""
        column = quoted(self.field)
        orders: dict[str, tuple[str, list[Any], str]] = {
            RANDOM: ("hash(id || ?::VARCHAR)", [str(self.seed)], "true"),
            LOWEST: (column, [], f"{column} IS NOT NULL"),
            BORDER: (f"abs({column} - ?)", [self.value], f"{column} IS NOT NULL"),
            # Captions with repetition in themselves first, then captions that many images share.
            REPEATED: (
                f"{_REPEATS} DESC, count(*) OVER (PARTITION BY lower({CAPTION})) DESC, {CAPTION}",
                [],
                f"{CAPTION} IS NOT NULL",
            ),
        }
        order, values, condition = orders[self.kind]
        sql = f"SELECT id FROM {source} WHERE {condition} ORDER BY {order}, id LIMIT ?"
        return sql, [*values, self.size]
