"""The log of a pod: the step's output, separated from the lines of Kubeflow's own programs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

_GO_LINE: Final = re.compile(
    r"(?P<level>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.-]+\.go:\d+\] (?P<text>.*)"
)
"""Matches a line of KFP's launcher or driver, in klog's format."""

_END: Final = re.compile(r"failed to execute component: (.+)")
_EXIT: Final = re.compile(r"exit status (\d+)")
_KILLED: Final = "signal: killed"
_ARGO: Final = " argo=true"


@dataclass(frozen=True)
class PodLog:
    """A parsed log.

    Attributes:
        lines: the output of the step.
        told: the errors that Kubeflow's own programs report.
        end: how the step's process ended, in their words; empty if they do not say.
    """

    lines: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    end: str = ""

    @classmethod
    def of(cls, text: str) -> Self:
        """Parse the text of a log."""
        told, end = [], ""
        for match in filter(None, map(_GO_LINE.match, text.splitlines())):
            if match["level"] in "EF":
                told.append(match["text"].strip())
                ended = _END.search(match["text"])
                end = ended[1].strip() if ended else end
        return cls(tuple(_own(text)), tuple(told), end)

    @property
    def empty(self) -> bool:
        """Whether nothing was printed, so that the pod has not started."""
        return not (self.lines or self.told or self.end)

    @property
    def killed(self) -> bool:
        """Whether the step's process was killed, as by running out of memory."""
        return _KILLED in self.end

    @property
    def exit_status(self) -> int | None:
        """The exit code of the step's process; None if it did not exit by itself."""
        code = _EXIT.fullmatch(self.end)
        return int(code[1]) if code else None

    def find(self, pattern: str) -> re.Match[str] | None:
        """Return the match of a pattern in the last line of the step's output that has one."""
        return next(filter(None, (re.search(pattern, line) for line in reversed(self.lines))), None)


def _own(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip() and not _GO_LINE.match(line) and _ARGO not in line:
            yield line.rstrip()
