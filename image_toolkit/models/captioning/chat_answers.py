"""What a chat completion says: the texts of those choices that ended by themselves."""

from typing import Any, Final

from image_toolkit.models.runtime.feed_rows import UnusableError

CUT_OFF: Final = "cut_off"
"""The reason of a row whose caption was cut in the middle of a sentence."""

_UNFINISHED: Final = {
    "length": (CUT_OFF, "it ended at max_new_tokens, which may be too few"),
    "content_filter": ("refused", "a content filter stopped it"),
}
"""What is wrong with a choice, by its `finish_reason`. All other reasons are whole captions."""


def whole_texts(completion: Any) -> list[str] | UnusableError:
    """Return the texts of a completion, which is parsed JSON.

    Choices that were cut are left out. Where all of them were, the error tells of the first.

    Raises:
        KeyError, TypeError, AttributeError: it is no chat completion.
    """
    texts, problems = [], []
    for choice in completion["choices"]:
        text, end = _text(choice["message"]), choice.get("finish_reason")
        if end in _UNFINISHED:
            reason, why = _UNFINISHED[end]
            problems.append(UnusableError(reason, f"{why}: {text!r}"))
        else:
            texts.append(text)
    return texts if texts or not problems else problems[0]


def _text(message: Any) -> str:
    """Return what a message says; some servers give it in parts, not all of which are text."""
    content = message["content"] or ""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")
