"""The results of the crash tests: one line of JSON for each series of disturbances.

A line is written once its series has been compared with the undisturbed run, and not before. An
interrupted campaign therefore loses one series, and continues where it was.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.crash_world import Content


@dataclass(frozen=True)
class Kill:
    """A SIGKILL, and its cost.

    Attributes:
        victim: what was killed: `runner`, `step`, `worker` or `scheduler`.
        redone: partitions started but not finished in this run, which are computed again.
        in_hand: the maximum number of partitions that the killed processes work on, one each.
        left_over: processes that outlived their runner.
    """

    victim: str
    redone: int = 0
    in_hand: int = 0
    left_over: int = 0


@dataclass
class Series:
    """A step that was disturbed, run to its end, and compared with the undisturbed run.

    `kind` is the kind of disturbance: `local`, `dask`, `twice`, `full disk`, `store`. A stream is a
    load or a write, which starts over.
    """

    kind: str
    step: str
    stream: bool = False
    kills: list[Kill] = field(default_factory=list)
    lost: int = 0
    duplicated: int = 0
    corrupt: int = 0
    identical: bool = True
    faults: int = 0
    """Of a full disk, or of requests to a store."""

    def compare(self, found: Content, expected: Content) -> None:
        """Compare the step's result with that of the undisturbed run."""
        here, there = set(found.ids), set(expected.ids)
        self.lost = len(there - here)
        self.duplicated = len(found.ids) - len(here) + len(here - there)
        self.corrupt = len(found.problems)
        if found != expected:
            names = sorted(dict(found.digests.items() ^ expected.digests.items()))
            self.fail(str(found.problems or names or "other rows"))

    def fail(self, why: str) -> None:
        """Record the series as failed."""
        self.identical = False
        print(f"{self.kind}, {self.step}: {why}", flush=True)


class Tally:
    """The series of a campaign, kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.series = list(_read(file))

    def add(self, series: Series) -> None:
        """Record a finished series."""
        self.series.append(series)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(series)) + "\n")

    def count(self, kind: str) -> int:
        """Return the number of finished disturbances of a kind."""
        mine = [one for one in self.series if one.kind == kind]
        return sum(len(one.kills) for one in mine) if kind in ("local", "dask") else len(mine)

    def to_dict(self) -> dict[str, int]:
        """Return the totals over all series."""
        kills = [kill for one in self.series for kill in one.kills]
        return {
            "kills": len(kills),
            "lost": sum(one.lost for one in self.series),
            "duplicated": sum(one.duplicated for one in self.series),
            "corrupt": sum(one.corrupt for one in self.series),
            "identical": int(all(one.identical for one in self.series)),
            "redone_partitions": sum(kill.redone for kill in kills),
            "left_over": sum(kill.left_over for kill in kills),
        }

    def describe(self) -> str:
        """Return a readable summary of the disturbances and of the kills' costs."""
        lines = [
            f"{self.count(kind):4} {kind}" for kind in dict.fromkeys(s.kind for s in self.series)
        ]
        hit = [one for one in self.series if one.faults]
        lines += [
            f"{n:4} {kind} that met its fault" for kind, n in Counter(s.kind for s in hit).items()
        ]
        lines.append("kills of                           times  redone  most  in hand")
        groups: dict[tuple[str, str, str], list[Kill]] = {}
        streams = 0
        for one in self.series:
            for kill in one.kills:
                groups.setdefault((one.kind, kill.victim, one.step), []).append(kill)
                streams += one.stream
        for (kind, victim, step), kills in sorted(groups.items()):
            redone, most = sum(k.redone for k in kills), max(k.redone for k in kills)
            where = f"{kind} {victim} of {step}"
            hand = max(k.in_hand for k in kills)
            lines.append(f"{where:34} {len(kills):5} {redone:7} {most:5} {hand:8}")
        beyond = sum(k.redone > k.in_hand for kills in groups.values() for k in kills)
        lines.append(f"kills that cost more than one partition for each at hand: {beyond}")
        lines.append(f"kills of a load or a write, which begin anew: {streams}")
        return "\n".join(lines)


def _read(file: Path) -> Iterator[Series]:
    if not file.exists():
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        content = json.loads(line)
        kills = [Kill(**kill) for kill in content.pop("kills")]
        yield Series(**content, kills=kills)
