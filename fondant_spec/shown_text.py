"""Text as it may be shown or kept: without secrets, and without what a terminal would obey.

Whatever is printed, logged or reported passes here. A secret is told by where it stands (the
password of a URL, a query or a header that signs in), or is one that this process was given: by a
variable of the environment, or by an argument that names a secret.
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
"""Characters: a shorter secret would be found in any text, and is told by its place alone."""

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
"""What leads to the host in a URL that signs in: a user and password, or a token alone.

The `container@account` of Azure does not. Lengths are bounded, so that no text takes long."""

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
"""Ends of names, and the beginning of values, that say where a secret lies, and are none."""

_UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but for tabs and ends of lines, and those that turn text round."""

_remembered: Final[set[str]] = set()


def shown(text: str) -> str:
    """Return text as it may be shown on a terminal: `redact` and `plain` together."""
    return plain(redact(text))


def tell(text: str) -> None:
    """Print text on the standard output, as it may be shown."""
    print(shown(text), flush=True)  # noqa: T201 - what command lines print with


def plain(text: str) -> str:
    r"""Return text that moves no cursor, sets no title and turns no letters round: `\x1b[2J`."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def redact(text: str) -> str:
    """Return text in which three asterisks stand in place of each secret."""
    text = _SIGNED_IN.sub(rf"\g<start>{HIDDEN}@", text)
    text = _QUERY.sub(rf"\g<start>{HIDDEN}", text)
    text = _HEADER.sub(lambda found: f"{found['start'] or found['scheme']}{HIDDEN}", text)
    known = _known()
    return known.sub(HIDDEN, text) if known is not None else text


def redact_all(value: Any) -> Any:
    """Return a value of JSON with all its texts redacted, but for the keys of objects."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list | tuple):
        return [redact_all(item) for item in value]
    if isinstance(value, Mapping):
        return {key: redact_all(item) for key, item in value.items()}
    return value


def signs_in(text: str) -> bool:
    """Return whether a text holds a URL with a password or token in it."""
    return bool(_SIGNED_IN.search(text) or ("://" in text and _QUERY.search(text)))


def remember(secret: str) -> None:
    """Have a secret hidden from now on, in each of the forms in which it may come up."""
    _remembered.update(_forms(secret))
    _known.cache_clear()


def log_to_stderr(*, times: bool = False) -> None:
    """Have this program's log lines written to the standard error, as they may be shown."""
    handler = logging.StreamHandler(sys.stderr)
    line = "%(levelname)s %(message)s"
    handler.setFormatter(_Shown(f"%(asctime)s {line}" if times else line))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Shown(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


@cache
def _known() -> re.Pattern[str] | None:
    """Return what finds the secrets of this process: those of its environment as it is first."""
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
    """Yield a secret as it is, decoded and in base64; of a URL, what signs in in it alone."""
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
