"""Whether the comparing CLIP is also the one that selected the dataset."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fondant_spec.dataset.history import steps_before


def same_clip(manifests: Sequence[str], own: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning if an earlier step computed vectors with exactly the weights of `own`."""
    made = (
        field.metadata
        for step in steps_before(manifests)
        for field in step.fields.values()
        if field.metadata.get("modality")
    )
    if any(one.get("weights") and one["weights"] == own.get("weights") for one in made):
        yield (
            f"{own['model_id']} compares, and has chosen the dataset as well: what it does not see "
            "in one it does not see in the other. Another clip_model_id is the better judge."
        )
