"""Distinguish a chat model's refusal from a caption: it speaks of itself in the first person.

A sign in a picture may say sorry, and a picture may show an AI or a language teacher.
"""

import re
from typing import Final

_OPENING: Final = (
    r"(?:(?:(?:so )?sorry|unfortunately|(?:my )?apologies|i(?: am|'m) afraid"
    r"|it (?:seems|looks|appears))\b[,.;:!]*(?: but\b| that\b| like\b)?,? )?"
)
_AN_AI: Final = r"an? (?:[\w-]+ ){0,3}?(?:ai|artificial intelligence|language model)\b"
_THE_IMAGE: Final = (
    r"(?:[\w-]+ ){0,3}(?:images?|pictures?|photos?|photographs?|anything|attachment)"
)
_REFUSING: Final = "|".join(
    (
        r"i(?: am|'?m) (?:very |so |really |truly )?(?:sorry|unable|not (?:able|allowed|capable))",
        r"i can(?: ?not|'?t)",
        r"i could(?: not|n't)",
        r"i (?:will not|won't) (?:be able|describe|help|assist|identify|provide)",
        r"i (?:must|have to) (?:decline|refuse)",
        r"i apologi[sz]e",
        rf"i (?:do not|don't|did not|didn't) (?:actually |currently )?(?:see|receive) {_THE_IMAGE}",
        rf"i (?:see|received) no {_THE_IMAGE}",
        r"i (?:do not|don't) (?:actually |currently )?have (?:the (?:ability|capability)|access)",
        rf"i(?: am|'m) (?:just |only )?{_AN_AI}",
        rf"as {_AN_AI}[^.!?]*\bi(?:'m)?",
    )
)
_REFUSAL: Final = re.compile(rf"{_OPENING}(?:{_REFUSING})\b", re.IGNORECASE)


def refuses(text: str) -> bool:
    """Return whether a text declines to describe the image, as chat models may."""
    line = " ".join(text.replace("\u2019", "'").split())
    return _REFUSAL.match(line) is not None
