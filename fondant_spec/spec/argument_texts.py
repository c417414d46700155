"""All texts in the value of an argument."""

from collections.abc import Iterator
from typing import Any


def texts_in(value: Any) -> Iterator[str]:
    """Yield each text in a value of JSON, however deep: items of lists, keys and values of objects.

    Who looks for something that no argument may hold has then looked everywhere.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts_in(key)
            yield from texts_in(item)
