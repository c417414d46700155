"""Figures as people compare them: three digits, and no more."""

from typing import Final

_WHOLE: Final = 100
_LEAST: Final = 0.001


def brief(value: float | None) -> str:
    """Return a figure with three decimals, or three digits if it is 1 or more."""
    if value is None:
        return "–"  # noqa: RUF001 - the sign for none
    size = abs(value)
    if size >= 1:
        text = f"{size:,.0f}" if size >= _WHOLE else f"{size:#.3g}".rstrip(".")
    else:
        text = f"{size:.3f}"
    return f"−{text}" if value < 0 and text != "0.000" else text  # noqa: RUF001 - a minus sign


def likelihood(p: float) -> str:
    """Describe how likely a result is by chance."""
    return "< 0.001" if p < _LEAST else f"{p:.3f}"


def counted(count: int, one: str, several: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else several}"
