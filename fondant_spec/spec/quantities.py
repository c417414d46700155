"""Quantities as Kubernetes writes them: `500m` of a core, `8Gi` of memory."""

import re
from typing import Final

from fondant_spec.errors import InvalidPipelineError

_UNITS: Final = {
    "": 1.0,
    "m": 1e-3,
    **{unit: 1000.0**power for power, unit in enumerate("kMGTP", 1)},
    **{f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTP", 1)},
}
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)")


def quantity(text: str, what: str = "") -> float:
    """Return a quantity as a number: of cores, or of bytes. `what` names it in an error.

    Raises:
        InvalidPipelineError: it is none.
    """
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in _UNITS:
        told = f"{what}: {text!r}" if what else repr(text)
        msg = f"{told} is no quantity of Kubernetes; write it like '500m', '2', '8Gi' or '16G'."
        raise InvalidPipelineError(msg)
    return float(match[1]) * _UNITS[match[2]]
