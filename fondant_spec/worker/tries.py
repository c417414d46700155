"""Retrying a step after temporary failures: the policy, and the waiting.

Kubeflow Pipelines retries only lost pods; since the default settings of version 2.17, any exit code
other than 0 is final there. So retries are done here, within the step, for all runners alike.
"""

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from fondant_spec.plain_words import duration
from fondant_spec.spec.arguments import from_words, split_argv
from fondant_spec.spec.executor_options import EXECUTOR_ARGUMENTS
from fondant_spec.temporary import is_temporary

T = TypeVar("T")

LONGEST_PAUSE: Final = 300.0

_NAMES: Final[tuple[str, ...]] = ("step_retries", "step_backoff", "step_timeout")
_SPREAD: Final = 0.25
"""Random spread, so that slices of a step that failed together do not retry together."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tries:
    """How often to try, how many seconds to wait before each retry, and how long in total."""

    retries: int = 0
    backoff: float = 30.0
    timeout: float | None = None

    @classmethod
    def from_argv(cls, argv: Sequence[str]) -> Self:
        """Return the policy set in an argument vector.

        Raises:
            InvalidArgumentError: a value is wrong, or the vector is malformed.
        """
        words = split_argv(argv)
        given = {name: words[name] for name in _NAMES if name in words}
        declared = {name: EXECUTOR_ARGUMENTS[name] for name in _NAMES}
        values = from_words(declared, given, words.get("step_id", "step"))
        return cls(*(values[name] for name in _NAMES))

    def of(self, action: Callable[[], T]) -> T:
        """Return the result of an action, retried as long as its failure is temporary.

        Raises:
            Exception: the action's last error; immediately if it is not temporary.
        """
        began = time.monotonic()
        for retry in range(self.retries):
            try:
                return action()
            except Exception as error:
                pause = self._pause(retry)
                if not is_temporary(error) or self._is_too_late(began, pause):
                    raise
                logger.warning(
                    "%s That may pass: tried again in %s (%d of %d).",
                    f"{type(error).__name__}: {str(error).rstrip('.')}.",
                    duration(pause),
                    retry + 1,
                    self.retries,
                )
            time.sleep(pause)
        return action()

    def _pause(self, retry: int) -> float:
        spread = random.uniform(1, 1 + _SPREAD)  # noqa: S311 - no secret
        return min(LONGEST_PAUSE, self.backoff * 2.0**retry) * spread

    def _is_too_late(self, began: float, pause: float) -> bool:
        return self.timeout is not None and time.monotonic() - began + pause >= self.timeout
