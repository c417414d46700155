"""How often reviewers agreed with the steps' results."""

from dataclasses import dataclass
from math import sqrt
from typing import Final

_Z: Final = 1.959964
"""Standard deviations on each side that cover 95 % of a normal distribution."""


@dataclass(frozen=True)
class Agreement:
    """Of `reviewed` rows, `agreed` were accepted unchanged."""

    agreed: int
    reviewed: int

    @property
    def share(self) -> float:
        """The share that was accepted; 0 if nothing was reviewed."""
        return self.agreed / self.reviewed if self.reviewed else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson score interval for the share among all rows; (0, 1) for no rows."""
        n = self.reviewed
        if not n:
            return 0.0, 1.0
        middle = (self.share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * sqrt(self.share * (1 - self.share) / n + _Z**2 / (4 * n**2))
        return max(0.0, middle - half), min(1.0, middle + half)
