"""Parse chat completions: the texts of the choices that were not cut off."""

from typing import Any, Final

from image_toolkit.models.runtime.feed_rows import UnusableError

CUT_OFF: Final = "cut_off"
"""The reject reason of a caption that was cut off in the middle of a sentence."""

_UNFINISHED: Final = {
    "length": (CUT_OFF, "it ended at max_new_tokens, which may be too few"),
    "content_filter": ("refused", "a content filter stopped it"),
}
"""What is wrong with a choice, by its `finish_reason`. Any other reason is a complete caption."""


def whole_texts(completion: Any) -> list[str] | UnusableError:
    """Return the texts of a completion, given as parsed JSON.

    Choices that were cut off are left out. If all of them were, the error is about the first.

    Raises:
        KeyError, TypeError, AttributeError: it is not a chat completion.
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
    """Return the text of a message; some servers send it in parts, not all of which are text."""
    content = message["content"] or ""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")
