"""Local paths with wildcards, and which of their characters are some."""

from glob import glob, has_magic


def matches(pattern: str) -> list[str]:
    """Return the paths that an absolute one with wildcards stands for now, sorted.

    Brackets are characters, as in `photos [set 1]/*.csv`, unless nothing matches so.
    """
    if not has_magic(pattern):
        return []
    literal = pattern.replace("[", "[[]")
    return sorted(glob(literal, recursive=True) or glob(pattern, recursive=True))  # noqa: PTH207
