"""The number of inputs for property tests: few and always the same, or many and different ones."""

import os
from typing import Final

from hypothesis import HealthCheck, settings

_EXAMPLES: Final = os.environ.get("FUZZ_EXAMPLES")


def fuzz(few: int = 25) -> settings:
    """Return how often a test is tried: so many times, or as often as FUZZ_EXAMPLES says."""
    many = int(_EXAMPLES or few)
    return settings(
        max_examples=many,
        deadline=None,
        derandomize=_EXAMPLES is None,
        database=None,
        suppress_health_check=list(HealthCheck),  # inputs are large, and what reads them slow
    )
