"""Versions of torch and transformers whose private parts may be used, and what happens with others.

Whatever makes models fast here relies on parts that either may change in any release. They are used
only with versions that the tests were run with. With other versions, or if a part turns out to be
missing or to take other arguments, models run as in their libraries.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import version
from typing import Final, TypeVar

from packaging.specifiers import SpecifierSet

from fondant_spec.errors import FondantError
from image_toolkit.models.runtime.out_of_memory import is_out_of_memory

logger = logging.getLogger(__name__)

Made = TypeVar("Made")

CHECKED: Final = {
    "torch": SpecifierSet(">=2.13,<2.15"),
    "transformers": SpecifierSet(">=5.18,<5.25"),
}
"""Each from the oldest release with which all tests pass, to the newest that was tried."""

_LEANT_ON: Final = "transformers"
"""The package without whose private parts there is nothing that could fail."""

_SAME: Final = 0.9999

COST: Final = (
    "models run without the shortcuts made for them: slower on a CPU, captions slower "
    "anywhere, no int8, and chat models that also take videos need torchvision"
)


def private_parts_usable(*packages: str) -> bool:
    """Return whether this process may use private parts; if not, log the reason once.

    `packages` are those whose private parts are needed; all of `CHECKED` by default.
    """
    if _set_aside.get() or _known_to_fail:
        return False
    return not any(_unchecked(name) for name in packages or CHECKED)


@contextmanager
def without_private_parts() -> Iterator[None]:
    """Disable private parts in this thread for a while, to compute a reference without them."""
    before = _set_aside.set(True)
    try:
        yield
    finally:
        _set_aside.reset(before)


def check_same(cosine: float) -> None:
    """Check that fp32 gives the same with private parts as without, by the least cosine.

    Raises:
        RuntimeError: it does not; `with_private_parts` then does without them.
    """
    if private_parts_usable(_LEANT_ON) and not cosine >= _SAME:
        msg = f"cosine of fp32 with private parts to fp32 without: {cosine:.5f}"
        raise RuntimeError(msg)


def with_private_parts(make: Callable[[], Made]) -> Made:
    """Return the result of `make`; if it fails with private parts, the result without them.

    The process then stops using them, which is logged once. `make` is called again, so nothing half
    modified is left; it must run what it makes, since only that proves that it works. Errors that a
    user can fix, out-of-memory errors, and errors that also occur without private parts are raised.
    """
    if not private_parts_usable(_LEANT_ON):
        return make()
    try:
        return make()
    except FondantError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        _known_to_fail.append(f"{type(error).__name__}: {error}")
    # Outside the handler: the traceback, which keeps the first model alive, is gone by now.
    try:
        made = make()
    except BaseException:
        _known_to_fail.clear()
        raise
    logger.warning("With %s, %s. (%s)", installed(), COST, _known_to_fail[0])
    return made


def installed() -> str:
    """Return the installed versions for a message: `torch 2.13.0 and ...`."""
    return " and ".join(f"{name} {version(name)}" for name in CHECKED)


def checked() -> str:
    """Return the checked versions for a message: `torch <2.15,>=2.13 and ...`."""
    return " and ".join(f"{name} {wanted}" for name, wanted in CHECKED.items())


_known_to_fail: list[str] = []
_set_aside: ContextVar[bool] = ContextVar("set aside", default=False)


@cache
def _unchecked(name: str) -> bool:
    outside = not CHECKED[name].contains(version(name), prereleases=True)
    if outside:
        which = f"{name} {version(name)} (checked: {CHECKED[name]})"
        logger.warning("Not checked with %s: %s.", which, COST)
    return outside
