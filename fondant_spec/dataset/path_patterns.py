"""Local paths with wildcards."""

from glob import glob, has_magic


def matches(pattern: str) -> list[str]:
    """Return the paths that match an absolute pattern now, sorted.

    Brackets are literal, as in `photos [set 1]/*.csv`, unless nothing matches that way.
    """
    if not has_magic(pattern):
        return []
    literal = pattern.replace("[", "[[]")
    return sorted(glob(literal, recursive=True) or glob(pattern, recursive=True))  # noqa: PTH207
