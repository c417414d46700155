"""Listing the rows that a step rejected, and why."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PARTITION_ENDING, StepFolder, partition_file
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.partitions import open_partition
from fondant_spec.dataset.resolution import by_root
from fondant_spec.errors import InvalidArgumentError, did_you_mean

FIRST: Final = 20
"""How many rejects are listed by default."""

_NAMES: Final = ("file_name", "image_url", "url")
"""Fields with the file or page of a row; the first existing one is used."""

_LONGEST: Final = 100


@dataclass(frozen=True)
class ReasonCounts:
    """The number of rejects of a step by reason: those that failed, and those filtered."""

    failed: Mapping[str, int]
    filtered: Mapping[str, int]

    def describe(self) -> str:
        """Format the numbers, such as `3 failed (gone 2, slow 1), 5 filtered (blur 5)`."""
        kinds = {"failed": self.failed, "filtered": self.filtered}
        return ", ".join(
            f"{sum(counts.values()):,} {kind} ({in_words(counts)})"
            for kind, counts in kinds.items()
            if counts
        )


def in_words(counts: Mapping[str, int]) -> str:
    """Format numbers by reason, the greatest first."""
    return ", ".join(f"{reason} {n:,}" for reason, n in Counter(counts).most_common())


def count_reasons(folder: str) -> ReasonCounts:
    """Count the rejects in a folder by reason and kind."""
    failed: Counter[str] = Counter()
    filtered: Counter[str] = Counter()
    for rows in _tables(folder, ["reason", "filtered"]):
        for counts, kept in ((filtered, rows["filtered"]), (failed, pc.invert(rows["filtered"]))):
            counts.update(rows["reason"].filter(kept).to_pylist())
    return ReasonCounts(dict(failed.most_common()), dict(filtered.most_common()))


def find_reject(manifest: Manifest, row_id: str) -> dict[str, Any] | None:
    """Return the reject of a row in a step, by the columns of `REJECTS_SCHEMA`, or None."""
    for rows in _tables(manifest.rejects_location):
        found = rows.filter(pc.equal(rows["id"], row_id))
        if len(found):
            return dict(found.to_pylist()[0])
    return None


def rejects_that_name(manifest: Manifest, name: str) -> list[str]:
    """Return the ids of the rejects of a step whose messages begin with a file, or its path.

    For a row that was never created, only the message says which file it would have come from.
    """
    found: list[str] = []
    for rows in _tables(manifest.rejects_location, ["id", "message"]):
        path = pc.list_element(pc.split_pattern(rows["message"], ": ", max_splits=1), 0)
        is_meant = pc.or_(pc.equal(path, name), pc.ends_with(path, f"/{name}"))
        found += rows["id"].filter(is_meant).to_pylist()
    return found


def list_rejects(manifest: Manifest, reason: str = "", most: int | None = FIRST) -> str:
    """List the rejects of a step: id, reason, attempts, file or URL if known, message.

    Args:
        manifest: of the step.
        reason: only rejects with this reason; empty for all.
        most: how many to list before the rest is only counted; None for all, with full messages.

    Raises:
        InvalidArgumentError: no reject has that reason; the message lists the existing ones.
    """
    names = partial(_file_names, manifest)
    return _listed(manifest.step_id, manifest.rejects_location, reason, most, names)


def list_unfinished_rejects(folder: StepFolder, reason: str = "", most: int | None = FIRST) -> str:
    """List the rejects of a step that failed and has no result, as `list_rejects` does.

    Its input is unknown, so only messages say which file or URL a row is from.

    Raises:
        InvalidArgumentError: no reject has that reason; the message lists the existing ones.
    """
    return _listed(folder.step_id, folder.rejects, reason, most, lambda _: {})


def _listed(
    step_id: str,
    folder: str,
    reason: str,
    most: int | None,
    names_of: Callable[[set[str]], Mapping[str, str]],
) -> str:
    counts = count_reasons(folder)
    there = {**counts.failed, **counts.filtered}
    if reason and reason not in there:
        hint = did_you_mean(reason, [*there])
        msg = (
            f"{step_id}: no reject has the reason {reason!r}{hint} Rejects: "
            f"{in_words(there) or 'none'}."
        )
        raise InvalidArgumentError(msg)
    if not there:
        return f"{step_id}: no rejects"
    shown: list[dict[str, Any]] = []
    total = 0
    for rows in _tables(folder):
        wanted = rows.filter(pc.equal(rows["reason"], reason)) if reason else rows
        total += len(wanted)
        room = len(wanted) if most is None else most - len(shown)
        shown += wanted.slice(0, max(room, 0)).to_pylist()
    names = names_of({row["id"] for row in shown})
    lines = [f"{step_id}: {counts.describe()}"]
    lines += [reject_line(row, names.get(row["id"]), whole=most is None) for row in shown]
    if total > len(shown):
        lines.append(f"and {total - len(shown):,} more; --all lists them")
    return "\n".join(lines)


def first_failure(folder: str, reason: str) -> str:
    """Return the message of the first row in a folder of rejects that failed for a reason."""
    for rows in _tables(folder, ["reason", "message", "filtered"]):
        meant = pc.and_(pc.equal(rows["reason"], reason), pc.invert(rows["filtered"]))
        for message in rows["message"].filter(meant).to_pylist():
            return " ".join(str(message or "").split())
    return ""


def reject_line(row: Mapping[str, Any], name: str | None = None, *, whole: bool = False) -> str:
    """Format a reject as one line; `name` is the file or URL of the row, if known.

    In a list, a long message is cut; with `whole`, it is shown in full, as it ends with the help.
    """
    attempts = row["attempts"] or 1
    tried = f"  {attempts} attempts" if attempts > 1 else ""
    message = " ".join(str(row["message"] or "").split())
    if len(message) > _LONGEST and not whole:
        message = f"{message[:_LONGEST]}..."
    return f"{row['id']}  {row['reason']}{tried}{f'  {name}' if name else ''}  {message}".rstrip()


def _file_names(manifest: Manifest, ids: set[str]) -> dict[str, str]:
    """Return the names of a step's input rows, by the ids in the step's rejects."""
    found: dict[str, str] = {}
    groups = by_root([Manifest.read(one.location) for one in manifest.inputs])
    for number, group in enumerate(groups):
        before = f"{number}-" if len(groups) > 1 else ""
        holders = (one.fields[name] for name in _NAMES for one in group if name in one.fields)
        holder = next(holders, None)
        if holder is not None:
            wanted = pa.array([i.removeprefix(before) for i in ids if i.startswith(before)])
            found |= {f"{before}{i}": name for i, name in _names(holder, wanted)}
    return found


def _names(field: Field, wanted: pa.Array) -> Iterator[tuple[str, str]]:
    files = (file for file in storage.sizes(field.location) if file.endswith(PARTITION_ENDING))
    for file in sorted(files):
        path = partition_file(field.location, file.removesuffix(PARTITION_ENDING))
        rows = open_partition(path, ["id", field.name]).read(columns=["id", field.name])
        rows = rows.filter(pc.is_in(rows["id"], value_set=wanted.cast(pa.string())))
        yield from zip(rows["id"].to_pylist(), rows[field.name].to_pylist(), strict=True)


def _tables(folder: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    for name in sorted(storage.sizes(folder)):
        if name.endswith(PARTITION_ENDING):
            yield open_partition(storage.join(folder, name), columns).read(columns=columns)
