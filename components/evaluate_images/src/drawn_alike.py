"""Whether both models generated under equal settings, by field metadata; else figures mix both."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_SINGLE: Final = (
    *("seed", "scheduler", "height", "width", "precision"),
    *("prefix", "suffix", "negative_prompt"),
)
_FIRST_OF: Final = ("guidance_scale", "num_inference_steps")
"""Lists whose first item is the setting of the compared images."""


def differences(base: Mapping[str, Any], tuned: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the settings of the two models' images differ; nothing if they are unknown."""
    if not all(name in told for told in (base, tuned) for name in _FIRST_OF):
        return
    for name in (*_FIRST_OF, *_SINGLE):
        one, other = (_said(told.get(name)) for told in (base, tuned))
        if one != other:
            yield (
                f"The models did not draw alike, so figures do not tell what training did: {name} "
                f"is {one} for the base and {other} for the tuned model."
            )


def _said(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value
