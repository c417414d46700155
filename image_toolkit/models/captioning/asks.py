"""What a captioner is asked for: one caption or several per image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from fondant_spec.errors import InvalidArgumentError, did_you_mean
from image_toolkit.models.captioning.generation import Generation

_STYLES: Final = ("sentence", "tags")
_SETTINGS: Final = frozenset(setting.name for setting in fields(Generation)) - {"attempt"}


@dataclass(frozen=True)
class Ask:
    """A request for one caption: its prompt, and how it is generated.

    `prompt` may name fields of the row in braces; None is the captioner's default. `style` is
    `sentence`, or `tags` for a list of tags.
    """

    generation: Generation
    prompt: str | None = None
    style: str = _STYLES[0]


def make_asks(
    generation: Generation, prompt: str | None, prompts: Sequence[Any] | None
) -> list[Ask]:
    """Return the requests: `prompt` alone, or all of `prompts`.

    Each of these is a text, or a mapping with `prompt`, `style` and settings of `Generation`.

    Raises:
        InvalidArgumentError: both are given, or an entry has another form.
    """
    if prompts is None:
        return [Ask(generation, prompt)]
    if prompt is not None or not prompts:
        msg = "prompts: give them instead of prompt, one at least."
        raise InvalidArgumentError(msg)
    return [_ask(one, generation) for one in prompts]


def _ask(given: Any, generation: Generation) -> Ask:
    if isinstance(given, str):
        return Ask(generation, given)
    if not isinstance(given, Mapping) or not isinstance(given.get("prompt"), str | None):
        msg = f"prompts: {given!r} must be a text, or a mapping with a text as `prompt`."
        raise InvalidArgumentError(msg)
    settings = {**given}
    prompt, style = settings.pop("prompt", None), settings.pop("style", _STYLES[0])
    if style not in _STYLES:
        msg = f"prompts: style must be {' or '.join(_STYLES)}, not {style!r}."
        raise InvalidArgumentError(msg)
    for name, value in settings.items():
        if name not in _SETTINGS:
            known = sorted({*_SETTINGS, "prompt", "style"})
            msg = f"prompts: there is no setting {name!r}{did_you_mean(name, known)}"
            raise InvalidArgumentError(msg)
        if type(value) is not type(getattr(generation, name)):
            kind = type(getattr(generation, name)).__name__
            msg = f"prompts: {name} must be of type {kind}, not {value!r}."
            raise InvalidArgumentError(msg)
    return Ask(replace(generation, **settings), prompt, style)
