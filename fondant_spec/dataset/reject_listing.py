"""Telling a person which rows a step gave up on, and why."""

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
"""How many rejects are listed unless all are wanted."""

_NAMES: Final = ("file_name", "image_url", "url")
"""Fields that say which file or page a row is of; the first that there is counts."""

_LONGEST: Final = 100


@dataclass(frozen=True)
class ReasonCounts:
    """How many rows a step gave up on, by reason: those that failed, and those it left out."""

    failed: Mapping[str, int]
    filtered: Mapping[str, int]

    def describe(self) -> str:
        """Return the numbers in words, such as `3 failed (gone 2, slow 1), 5 filtered (blur 5)`."""
        kinds = {"failed": self.failed, "filtered": self.filtered}
        return ", ".join(
            f"{sum(counts.values()):,} {kind} ({in_words(counts)})"
            for kind, counts in kinds.items()
            if counts
        )


def in_words(counts: Mapping[str, int]) -> str:
    """Return numbers by reason in words, the greatest first."""
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
    """Return the reject of a row in a step, by the columns of `REJECTS_SCHEMA`, if it is one."""
    for rows in _tables(manifest.rejects_location):
        found = rows.filter(pc.equal(rows["id"], row_id))
        if len(found):
            return dict(found.to_pylist()[0])
    return None


def rejects_that_name(manifest: Manifest, name: str) -> list[str]:
    """Return the ids of the rejects of a step whose messages begin with a file, or its path.

    Of a row that never came to be, the message alone says which file it would have been of.
    """
    found: list[str] = []
    for rows in _tables(manifest.rejects_location, ["id", "message"]):
        path = pc.list_element(pc.split_pattern(rows["message"], ": ", max_splits=1), 0)
        is_meant = pc.or_(pc.equal(path, name), pc.ends_with(path, f"/{name}"))
        found += rows["id"].filter(is_meant).to_pylist()
    return found


def list_rejects(manifest: Manifest, reason: str = "", most: int | None = FIRST) -> str:
    """Return the rejects of a step as lines: id, reason, attempts, file or URL if known, message.

    Args:
        manifest: of the step.
        reason: only those with this one; empty for all.
        most: how many are listed before the rest is only counted; None for all, messages whole.

    Raises:
        InvalidArgumentError: no reject has that reason; the message says which there are.
    """
    names = partial(_file_names, manifest)
    return _listed(manifest.step_id, manifest.rejects_location, reason, most, names)


def list_unfinished_rejects(folder: StepFolder, reason: str = "", most: int | None = FIRST) -> str:
    """Return the rejects of a step that has no result, for it failed, as `list_rejects` does.

    What it read is not known, so messages alone say of which file or URL a row is.

    Raises:
        InvalidArgumentError: no reject has that reason; the message says which there are.
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
    """Return what is said of the first row in a folder of rejects that failed for a reason."""
    for rows in _tables(folder, ["reason", "message", "filtered"]):
        meant = pc.and_(pc.equal(rows["reason"], reason), pc.invert(rows["filtered"]))
        for message in rows["message"].filter(meant).to_pylist():
            return " ".join(str(message or "").split())
    return ""


def reject_line(row: Mapping[str, Any], name: str | None = None, *, whole: bool = False) -> str:
    """Return a reject in one line; `name` is the file or URL of the row, if known.

    Among others a long message is cut; `whole` has it told to its end, where the help stands.
    """
    attempts = row["attempts"] or 1
    tried = f"  {attempts} attempts" if attempts > 1 else ""
    message = " ".join(str(row["message"] or "").split())
    if len(message) > _LONGEST and not whole:
        message = f"{message[:_LONGEST]}..."
    return f"{row['id']}  {row['reason']}{tried}{f'  {name}' if name else ''}  {message}".rstrip()


def _file_names(manifest: Manifest, ids: set[str]) -> dict[str, str]:
    """Return the names of rows that a step read, by the ids that the step's rejects have."""
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
