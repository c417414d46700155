"""Log messages of a component about the rows that it rejected."""

from fondant_spec.testing import Result


def reasons(result: Result) -> list[tuple[str, str]]:
    """Return (reason, what the message says of it) for all rejects."""
    return list(zip(*(result.rejects[c].to_pylist() for c in ("reason", "message")), strict=True))
