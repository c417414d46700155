"""Making text safe to show or keep: without secrets or terminal control sequences.

Everything that is printed, logged or reported passes through here. A secret is recognised by its
position (the password of a URL, a query parameter or header that authenticates), or by its value if
this process was given it: in an environment variable, or in an argument that names a secret.
"""

import base64
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import unquote

HIDDEN: Final = "***"

_SHORTEST: Final = 6
"""Characters: a shorter secret would match any text, and is recognised by its position only."""

_SCHEMES_OF_TOKENS: Final = r"(?:https?|socks\d?[a-z]?|ftps?|git)"
_USER: Final = r"""[^\s/?\#:@"'<>\[\]]"""
_SIGNED_IN: Final = re.compile(
    rf"""
    (?<![A-Za-z0-9+.-])(?P<start>
      [A-Za-z][A-Za-z0-9+.-]*://(?={_USER}{{0,128}}:(?!\d+(?:[/?\#\s"'<>)\],;]|$)))
      | {_SCHEMES_OF_TOKENS}://(?={_USER}{{1,256}}@)
    )[^\s"'<>]{{0,256}}?@(?=[^\s"'<>@/?\#]{{1,256}}(?:[/?\#\s"'<>),;]|$))
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Matches what precedes the host in a URL with credentials: user and password, or a token.

`container@account` of Azure does not match. Lengths are bounded, so that no text takes long.
"""

_QUERY: Final = re.compile(
    r"(?P<start>[?&;](?:[a-z0-9_-]*token|auth|authorization|api[_-]?key|key|(?:client[_-]?)?secret"
    r"|password|passwd|pwd|sig|signature|x-(?:amz|goog)-(?:signature|credential)|awsaccesskeyid"
    r"|credentials?)=)(?P<secret>[^&;\s\"'<>#]+)",
    re.IGNORECASE,
)
_HEADER: Final = re.compile(
    r"(?P<start>\b(?:(?:proxy-)?authorization|(?:set-)?cookie|x-api-key)[\"']?\s*[:=]\s*[\"']?)"
    r"(?P<secret>[^\"'\r\n]+)|(?P<scheme>\b(?:Bearer|Basic) )(?P<word>[A-Za-z0-9._~+/=-]{8,})",
    re.IGNORECASE,
)
_SECRET_NAMES: Final = re.compile(
    r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASS|CREDENTIALS?|COOKIE|API_?KEY|ACCESS_KEY"
    r"|ACCOUNT_KEY|PRIVATE_KEY|CONNECTION_STRING)(?:_|$)",
    re.IGNORECASE,
)
_PLACES: Final = re.compile(r"_(?:FILE|PATH|DIR|DIRECTORY|URI|NAME)$|^/", re.IGNORECASE)
"""Matches ends of names, and starts of values, that hold a secret's location and not a secret."""

_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters other than tab and newline, and those that change the text direction."""

_remembered: Final[set[str]] = set()


def shown(text: str) -> str:
    """Return text that is safe on a terminal: both redacted and plain."""
    return plain(redact(text))


def tell(text: str) -> None:
    """Print text to standard output, made safe by `shown`."""
    print(shown(text), flush=True)  # noqa: T201 - all command lines print through this


def plain(text: str) -> str:
    r"""Escape control characters, so that text cannot move the cursor or set a title: `\x1b[2J`."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def redact(text: str) -> str:
    """Replace each secret in a text with three asterisks."""
    text = _SIGNED_IN.sub(rf"\g<start>{HIDDEN}@", text)
    text = _QUERY.sub(rf"\g<start>{HIDDEN}", text)
    text = _HEADER.sub(lambda found: f"{found['start'] or found['scheme']}{HIDDEN}", text)
    known = _known()
    return known.sub(HIDDEN, text) if known is not None else text


def redact_all(value: Any) -> Any:
    """Redact all texts in a JSON value, except the keys of objects."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list | tuple):
        return [redact_all(item) for item in value]
    if isinstance(value, Mapping):
        return {key: redact_all(item) for key, item in value.items()}
    return value


def signs_in(text: str) -> bool:
    """Return whether a text contains a URL with a password or token."""
    return bool(_SIGNED_IN.search(text) or ("://" in text and _QUERY.search(text)))


def remember(secret: str) -> None:
    """Register a secret to be redacted from now on, in every form in which it may appear."""
    _remembered.update(_forms(secret))
    _known.cache_clear()


def log_to_stderr(*, times: bool = False) -> None:
    """Write this program's log lines to standard error, made safe by `shown`."""
    handler = logging.StreamHandler(sys.stderr)
    line = "%(levelname)s %(message)s"
    handler.setFormatter(_Shown(f"%(asctime)s {line}" if times else line))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Shown(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


@cache
def _known() -> re.Pattern[str] | None:
    """Return a pattern of this process's secrets, taken from its environment at the first call."""
    secrets = _remembered | {form for s in _of_environment() for form in _forms(s)}
    words = sorted((s for s in secrets if len(s) >= _SHORTEST), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words))) if words else None


def _of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if signs_in(value) or (
            _SECRET_NAMES.search(name) and not (_PLACES.search(name) or _PLACES.search(value))
        ):
            yield value


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret verbatim, decoded and in base64; of a URL, only its credentials."""
    found = _SIGNED_IN.search(secret)
    if found is None and "://" not in secret:
        yield secret
        yield base64.b64encode(secret.encode(errors="replace")).decode()
        if ":" in secret:
            yield secret.partition(":")[2]
    elif found is not None:
        signing = found[0][len(found["start"]) : -1]
        for form in dict.fromkeys((signing, unquote(signing))):
            yield base64.b64encode(form.encode(errors="replace")).decode()
            yield form.partition(":")[2] or form
    for query in _QUERY.finditer(secret):
        yield query["secret"]
        yield unquote(query["secret"])
