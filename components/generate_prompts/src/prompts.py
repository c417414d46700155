"""Prompts from word lists and templates, such as `{mood} {room}, {style} interior design`.

A file has two keys: `templates`, a list of texts with names in braces, and `lists`, the words for
each name. Every template expands to all combinations of its words.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

from fondant_spec.bounded_yaml import read_yaml
from fondant_spec.errors import InputDataError, InvalidArgumentError, did_you_mean

_PLACE: Final = re.compile(r"\{(\w+)\}")
_KEYS: Final = ("templates", "lists")


@dataclass(frozen=True)
class Prompt:
    """A prompt, and the words it was made of, by the names of their lists."""

    text: str
    words: Mapping[str, str]


@dataclass(frozen=True)
class PromptSpace:
    """All prompts of some templates and lists, numbered, and generated on demand."""

    templates: Sequence[str]
    lists: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        """Return the number of prompts."""
        return sum(self._count(template) for template in self.templates)

    def prompt(self, number: int) -> Prompt:
        """Return prompt `number`: templates in order, the words of the last name changing first."""
        for template in self.templates:
            count = self._count(template)
            if number < count:
                return self._fill(template, number)
            number -= count
        msg = f"there are only {len(self)} prompts"
        raise IndexError(msg)

    def draw(self, most: int | None, seed: int) -> list[int]:
        """Return the numbers of at most `most` prompts, in order.

        If there are more, they are a random sample, determined by the seed.
        """
        if most is None or most >= len(self):
            return list(range(len(self)))
        return sorted(random.Random(seed).sample(range(len(self)), most))  # noqa: S311 - no secret

    def check_lists(self, names: Sequence[str]) -> None:
        """Reject names without a list.

        Raises:
            InvalidArgumentError: for the first of them.
        """
        for name in names:
            if name not in self.lists:
                hint = did_you_mean(name, list(self.lists))
                msg = f"produces: there is no list {name!r}{hint} Known: {', '.join(self.lists)}."
                raise InvalidArgumentError(msg)

    def _count(self, template: str) -> int:
        return prod(len(self.lists[name]) for name in _names(template))

    def _fill(self, template: str, number: int) -> Prompt:
        words = {}
        for name in reversed(_names(template)):
            number, place = divmod(number, len(self.lists[name]))
            words[name] = self.lists[name][place]
        return Prompt(_PLACE.sub(lambda match: words[match[1]], template), words)


def read_prompts(file: Path) -> PromptSpace:
    """Read templates and lists from a YAML file.

    Raises:
        InputDataError: the file cannot be read, or is not of this form.
    """
    try:
        content = read_yaml(file.read_text(encoding="utf-8"), unique_keys=True)
    except (OSError, ValueError) as error:
        msg = f"prompts: cannot read {file} ({error})."
        raise InputDataError(msg) from error
    try:
        return _space(content)
    except ValueError as error:
        msg = f"{file}: {error}"
        raise InputDataError(msg) from None


def _space(content: Any) -> PromptSpace:
    if not isinstance(content, dict) or set(content) != set(_KEYS):
        msg = "needs the keys `templates` and `lists`, and no others."
        raise ValueError(msg)
    templates = _texts(content["templates"], "templates")
    if not isinstance(content["lists"], dict):
        msg = "`lists` must map names to lists of words."
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for anything in the file
    lists = {str(name): _texts(words, f"lists.{name}") for name, words in content["lists"].items()}
    for template in templates:
        _check_template(template, lists)
    return PromptSpace(templates, lists)


def _check_template(template: str, lists: Mapping[str, Sequence[str]]) -> None:
    left = _PLACE.sub("", template)
    if "{" in left or "}" in left:
        msg = f"template {template!r}: braces may hold only the name of a list."
        raise ValueError(msg)
    for name in _names(template):
        if name not in lists:
            hint = did_you_mean(name, list(lists))
            msg = f"template {template!r}: there is no list {name!r}{hint}"
            raise ValueError(msg)


def _texts(value: Any, where: str) -> list[str]:
    """Return a list of distinct, non-empty texts."""
    if not isinstance(value, list) or not value:
        msg = f"`{where}` must be a list of texts that is not empty."
        raise ValueError(msg)
    for text in value:
        if not isinstance(text, str) or not text.strip():
            msg = f"`{where}` holds {text!r}, which is no text; put it in quotes."
            raise ValueError(msg)
        if value.count(text) > 1:
            msg = f"`{where}` holds {text!r} twice."
            raise ValueError(msg)
    return value


def _names(template: str) -> list[str]:
    return list(dict.fromkeys(_PLACE.findall(template)))
