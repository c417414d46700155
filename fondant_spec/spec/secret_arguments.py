"""Secrets of a step: named by its arguments, never given.

An argument vector is in every list of processes, and arguments are kept in manifests that others
read. An argument that is declared `by_reference` says instead where a secret is, for the step to
take it from there: `env:NAME`, a variable of its environment, or `file:/PATH`.
"""

import os
import re
from pathlib import Path
from typing import Any, Final

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.shown_text import remember, signs_in
from fondant_spec.spec.argument_texts import texts_in

_REFERENCE: Final = re.compile(r"env:(?P<variable>[A-Za-z_][A-Za-z0-9_]*)|file:(?P<file>/.*)")
_LOOKS_LIKE_ONE: Final = re.compile(r"(env|file):")


def refuse_secrets(name: str, value: Any, *, by_reference: bool) -> None:
    """Refuse a value that signs in somewhere, such as a URL with a password or token in it.

    Raises:
        InvalidArgumentError: it does, or is a reference that names nothing.
    """
    if by_reference and isinstance(value, str) and _LOOKS_LIKE_ONE.match(value):
        if not _REFERENCE.fullmatch(value):
            msg = f"argument {name!r} must be env:NAME or file:/PATH, not {value!r}."
            raise InvalidArgumentError(msg)
        return
    if not any(map(signs_in, texts_in(value))):
        return
    way = (
        "name where it is instead: env:NAME, a variable of the step's environment, or file:/PATH."
        if by_reference
        else "leave it out. Steps sign in by their environment (HF_TOKEN, AWS_*, ...), or by an "
        "argument that takes env:NAME or file:/PATH, where the component has one."
    )
    msg = (
        f"argument {name!r} holds a password or token, and others can read arguments in lists of "
        f"processes and in manifests: {way}"
    )
    raise InvalidArgumentError(msg)


def variable_of(value: Any) -> str | None:
    """Return the variable that a reference names, if it is one to a variable."""
    found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return found["variable"] if found else None


def file_of(value: Any) -> str | None:
    """Return the file that a reference names, if it is one to a file."""
    found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return found["file"] if found else None


def opened(name: str, value: Any) -> Any:
    """Return the secret that a reference names, and hide it from now on; other values as they are.

    Raises:
        InvalidArgumentError: there is no such variable or file, or it is empty.
    """
    variable, file = variable_of(value), file_of(value)
    if variable is not None:
        secret = os.environ.get(variable, "")
        why = "" if secret else "it is not set where the step runs"
    elif file is not None:
        secret, why = _content(file)
    else:
        return value
    if why:
        msg = f"argument {name!r} is {value}, but {why}."
        raise InvalidArgumentError(msg)
    remember(secret)
    return secret


def _content(file: str) -> tuple[str, str]:
    """Return what a file holds, and why it cannot be had if that is so."""
    try:
        content = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        return "", f"it cannot be read ({getattr(error, 'strerror', None) or 'no text'})"
    return content, "" if content else "it is empty"
