"""The sources and licences of images: `credits.csv`, and a summary for the card."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from markdown_code import code
from training_pairs import Pair

from image_toolkit.licences import UNKNOWN, licence_id

FILE: Final = "credits.csv"
LICENCE: Final = "license"

_FIELDS: Final = frozenset(
    {LICENCE, "author", "source_page", "image_url", "final_url", "fetched_at", "opt_out"}
)
_COLUMNS: Final = (
    *("file", "split", LICENCE, "author", "source_page", "host", "url", "fetched_at", "opt_out"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula."""

_MOST_NAMED: Final = 10
_RULES: Final = {"respect_robots": "the rules of robots.txt", "respect_opt_outs": "opt-outs"}
_RESPECTED: Final = {True: "respected", False: "**not** respected", None: "respected or not"}


class Credits:
    """Collects the credits of pairs; `known` says whether the rows have any of the fields."""

    def __init__(self, fields: Collection[str]) -> None:
        self.known = not _FIELDS.isdisjoint(fields)
        self.licences: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()
        self._opted_out = 0
        self._fetched: list[str] = []
        self._text = io.StringIO(newline="")
        self._table = csv.writer(self._text, lineterminator="\n")
        self._table.writerow(_COLUMNS)

    def add(self, pair: Pair) -> None:
        """Add the credits of a pair, from its metadata."""
        told = pair.metadata
        url = told.get("final_url") or told.get("image_url")
        host = host_of(url)
        self.licences[licence_id(told.get(LICENCE))] += 1
        self._hosts[host] += 1
        self._opted_out += bool(told.get("opt_out"))
        when = told.get("fetched_at")
        if when:
            self._fetched = [min([when, *self._fetched]), max([when, *self._fetched])]
        others = (told.get(name) for name in (LICENCE, "author", "source_page"))
        row = (pair.stem + pair.suffix, pair.split, *others, host, url, when, told.get("opt_out"))
        self._table.writerow(map(_cell, row))

    def csv(self) -> bytes:
        """Return the table, one row per pair."""
        return self._text.getvalue().encode()

    def section(self, settings: Mapping[str, Any]) -> Iterator[str]:
        """Yield lines of Markdown; `settings` are those under which the images were downloaded."""
        if not self.known:
            yield "Nothing is known of licences and authors: the rows had no fields for them."
            return
        yield f"[`{FILE}`]({FILE}) has what is known of each image."
        yield from ("", "| license | images |", "|---|---:|")
        for licence, count in self.licences.most_common(_MOST_NAMED):
            yield f"| {code(licence)} | {count:,} |"
        others = self.licences.most_common()[_MOST_NAMED:]
        if others:
            yield f"| {len(others):,} others | {sum(count for _, count in others):,} |"
        yield from ("", *self._origin(settings))

    def _origin(self, settings: Mapping[str, Any]) -> Iterator[str]:
        hosts = [(host, count) for host, count in self._hosts.most_common() if host]
        if hosts:
            named = ", ".join(f"{code(host)} {count:,}" for host, count in hosts[:_MOST_NAMED])
            more = f", and {len(hosts) - _MOST_NAMED:,} more" if hosts[_MOST_NAMED:] else ""
            yield f"Hosts: {named}{more}."
        if self._fetched:
            yield f"Fetched from {code(self._fetched[0])} to {code(self._fetched[1])}."
        if settings:
            for name, told in _RULES.items():
                yield f"In fetching, {told} were {_RESPECTED[settings.get(name)]}."
        if self._opted_out:
            yield f"Of these images, **{self._opted_out:,} are reserved by their hosts**."


def host_of(url: str | None) -> str:
    """Return the host of a URL; empty if it has none."""
    try:
        return urlsplit(url or "").hostname or ""
    except ValueError:
        return ""


def unlicensed(licences: Mapping[str, int]) -> int:
    """Return how many images have no known licence."""
    return licences.get(UNKNOWN, 0)


def _cell(value: object) -> str:
    """Return a value as text for a spreadsheet; formulas are escaped by an apostrophe."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
