"""Datasets in DuckDB, where users' expressions can reach nothing but their fields.

Rows are read once, through the manifest, without images and vectors. They are held in memory,
compressed; no file is left behind, however the program ends.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from explorer.overlay import EDITS_TABLE, TEXT, overlay_table, shown_columns
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.errors import FondantError, InvalidArgumentError
from image_toolkit.edits.edit import CAPTION, Edit
from image_toolkit.edits.image_key import image_keys, key_field
from image_toolkit.expressions import lock

KEY: Final = "_image"
"""The column that identifies a row's image in the edits."""

HOST: Final = "host"
URLS: Final = ("final_url", "image_url", "url")
"""Fields with the URL of an image, best first."""

_HOST: Final = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]+)"
_SECONDS: Final = 20.0
_MEMORY: Final = "2GB"  # the upper limit; actual use depends on the rows
_THREADS: Final = 2


@dataclass(frozen=True)
class Table:
    """A dataset in DuckDB.

    `written` are the columns that the steps wrote, and `columns` those that are shown, with their
    DuckDB types. `problems` says which partitions could not be read, and why.
    """

    manifest: Manifest
    name: str
    written: dict[str, str]
    columns: dict[str, str]
    problems: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The view of the rows as edited."""
        return f"data.shown_{self.name}"

    @property
    def rows(self) -> str:
        """The table of the rows as written."""
        return f"data.rows_{self.name}"

    @property
    def fields(self) -> list[str]:
        """The columns that expressions may name."""
        return [name for name in self.columns if name not in (KEY, TEXT)]

    @property
    def has_captions(self) -> bool:
        """Whether there are captions to edit."""
        return self.columns.get(CAPTION) == "VARCHAR"

    @property
    def has_images(self) -> bool:
        """Whether there are images to show."""
        return "image" in self.manifest.fields

    @property
    def numbers(self) -> list[str]:
        """The numeric columns."""
        return [name for name, kind in self.columns.items() if is_number(kind)]


def is_number(kind: str) -> bool:
    """Return whether a DuckDB type is numeric."""
    return kind in {"FLOAT", "DOUBLE", "HUGEINT"} or kind.endswith("INT") or kind == "INTEGER"


def is_vector(kind: pa.DataType) -> bool:
    """Return whether a field holds vectors: lists of numbers."""
    lists = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)
    return any(test(kind) for test in lists) and bool(kinds.is_floating(kind.value_type))


class Tables:
    """The datasets opened so far, each loaded on first use."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(":memory:")
        self._connection.execute(f"SET memory_limit = '{_MEMORY}'")
        self._connection.execute(f"SET threads = {_THREADS}")
        self._connection.execute("ATTACH ':memory:' AS data (COMPRESS)")
        self._connection.execute(f"CREATE TABLE {EDITS_TABLE} AS {_nothing_of(overlay_table([]))}")
        lock(self._connection)
        self._lock = threading.RLock()
        self._tables: dict[tuple[str, str], Table] = {}
        self._others: dict[tuple[str, str], str] = {}

    def open(self, manifest: Manifest) -> Table:
        """Return a dataset's table, reloaded if the dataset has been rewritten."""
        with self._lock:
            known = (manifest.location, manifest.digest)
            if known not in self._tables:
                self._tables[known] = self._ingest(manifest, f"d{len(self._tables)}")
            return self._tables[known]

    def keep(self, name: str, manifest: Manifest, make: Callable[[], pa.Table]) -> str:
        """Return the name of an additional table of a dataset, made on first use."""
        with self._lock:
            known = (f"{manifest.location}#{name}", manifest.digest)
            if known not in self._others:
                table = f"data.{name}_o{len(self._others)}"
                self._connection.register("incoming", make())
                self._connection.execute(f"CREATE TABLE {table} AS SELECT * FROM incoming")
                self._connection.unregister("incoming")
                self._others[known] = table
            return self._others[known]

    def set_edits(self, edits: Sequence[Edit]) -> None:
        """Make all tables show the result of these edits."""
        overlay = overlay_table(edits)
        with self._lock:
            self._connection.register("overlay", overlay)
            self._connection.execute("BEGIN")
            self._connection.execute(f"DELETE FROM {EDITS_TABLE}")
            self._connection.execute(f"INSERT INTO {EDITS_TABLE} SELECT * FROM overlay")
            self._connection.execute("COMMIT")
            self._connection.unregister("overlay")

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection of its own, whose queries are interrupted when they take too long.

        Raises:
            InvalidArgumentError: a query failed because of what the user entered.
        """
        cursor = self._connection.cursor()
        timer = threading.Timer(_SECONDS, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield cursor
        except duckdb.InterruptException:
            msg = f"it takes longer than {_SECONDS:g} s; ask for less."
            raise InvalidArgumentError(msg) from None
        except duckdb.Error as error:
            raise InvalidArgumentError(_first_line(error)) from None
        finally:
            timer.cancel()
            cursor.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows that a query finds, each as a dict by column."""
        with self.cursor() as cursor:
            cursor.execute(query, list(values))
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _ingest(self, manifest: Manifest, name: str) -> Table:
        problems: list[str] = []
        reader = _Rows(manifest, problems)
        self._connection.register("incoming", reader.read())
        self._connection.execute(f"CREATE TABLE data.rows_{name} AS SELECT * FROM incoming")
        self._connection.unregister("incoming")
        described = self._connection.execute(f"DESCRIBE data.rows_{name}").fetchall()
        columns = {str(row[0]): str(row[1]) for row in described}
        selected, shown = shown_columns(columns, KEY)
        self._connection.execute(
            f"CREATE VIEW data.shown_{name} AS SELECT {selected} FROM data.rows_{name} r "
            f'LEFT JOIN {EDITS_TABLE} e ON r."{KEY}" = e.image'
        )
        return Table(manifest, name, columns, shown, tuple(problems))


class _Rows:
    """Reads the narrow columns of a dataset, batch by batch."""

    def __init__(self, manifest: Manifest, problems: list[str]) -> None:
        self._manifest = manifest
        self._problems = problems
        self._fields = {name: one for name, one in manifest.fields.items() if _is_narrow(one)}
        self._key = key_field(manifest.fields)
        self._url = next((name for name in URLS if name in self._fields), None)
        self._has_host = HOST in self._fields
        columns = [pa.field("id", pa.string())]
        columns += [pa.field(name, one.type) for name, one in self._fields.items()]
        columns += [pa.field(HOST, pa.string())] * (self._url is not None and not self._has_host)
        self._schema = pa.schema([*columns, pa.field(KEY, pa.string())])

    def read(self) -> pa.RecordBatchReader:
        """Return the rows; what cannot be read is listed among the problems."""
        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        inputs = dict(self._fields)
        if self._key is not None:
            inputs[KEY] = self._manifest.fields[self._key]
        for partition in self._manifest.partitions:
            try:
                for batch in read_batches(inputs, self._manifest.index_location, partition.name):
                    yield self._with_own(batch)
            except FondantError as error:
                self._problems.append(str(error))

    def _with_own(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [batch.column(name) for name in ("id", *self._fields)]
        if self._url is not None and not self._has_host:
            columns.append(hosts_of(batch.column(self._url)))
        none = pa.nulls(len(batch), pa.string())
        columns.append(image_keys(batch.column(KEY)) if self._key is not None else none)
        arrays = [column.cast(one.type) for column, one in zip(columns, self._schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


def hosts_of(urls: pa.Array) -> pa.Array:
    """Return the hosts of URLs, in lower case; null where there is none."""
    return pc.utf8_lower(pc.struct_field(pc.extract_regex(urls, _HOST), "host"))


def _is_narrow(field: Field) -> bool:
    binary = kinds.is_binary(field.type) or kinds.is_large_binary(field.type)
    return not binary and not is_vector(field.type) and field.name not in (KEY, TEXT)


def _nothing_of(table: pa.Table) -> str:
    """Return a query for a table's columns without rows."""
    names = {
        pa.string(): "VARCHAR",
        pa.bool_(): "BOOLEAN",
        pa.list_(pa.string()): "VARCHAR[]",
        pa.map_(pa.string(), pa.string()): "MAP(VARCHAR, VARCHAR)",
    }
    columns = ", ".join(f"NULL::{names[one.type]} AS {one.name}" for one in table.schema)
    return f"SELECT {columns} LIMIT 0"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
