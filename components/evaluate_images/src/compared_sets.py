"""The three sets to compare, selected from all images; and warnings about the selection."""

from dataclasses import dataclass
from typing import Final

from brief_numbers import counted
from gathered import Gathered, ImageSet

from fondant_spec.errors import InputDataError
from image_toolkit.training.splits import VALIDATION

LEAST: Final = 8
"""The smallest set for which figures are meaningful."""

MOST: Final = 1_500
"""The largest number of images per set; larger sets are sampled at random."""

_FEW: Final = 50


@dataclass(frozen=True)
class Compared:
    """The three sets; the images of `base` and `tuned` at the same position are a pair.

    `held_out` says whether no model was trained on the originals.
    """

    originals: ImageSet
    base: ImageSet
    tuned: ImageSet
    held_out: bool


def compared_sets(gathered: Gathered, seed: int) -> Compared:
    """Return the sets: the samples, and the held-out originals, or else the others.

    Raises:
        InputDataError: there are too few samples, or too few originals.
    """
    pairs = len(gathered.base)
    if pairs < LEAST:
        msg = (
            f"evaluate_images: {counted(pairs, 'row has', 'rows have')} an image of both models, "
            f"and figures mean something from {LEAST} on, more from {_FEW}: generate images of the "
            "same prompts with the base and the tuned model, as base_image and tuned_image."
        )
        raise InputDataError(msg)
    held_out = len(gathered.held_out) >= LEAST
    originals = gathered.held_out if held_out else gathered.training
    if len(originals) < LEAST:
        msg = (
            f"evaluate_images: there are {len(gathered.held_out)} held-out originals and "
            f"{len(gathered.training)} others, and {LEAST} of one kind are needed."
        )
        raise InputDataError(msg)
    base, tuned = gathered.base.some(MOST, seed), gathered.tuned.some(MOST, seed)
    return Compared(originals.some(MOST, seed), base, tuned, held_out)


def warnings_of(gathered: Gathered, compared: Compared) -> list[str]:
    """Return warnings about what weakens the figures."""
    said = []
    if not compared.held_out:
        said.append(
            f"Only {counted(len(gathered.held_out), 'original is', 'originals are')} held out, so "
            "images are compared with those that were trained on: a model that remembers them "
            "looks good. Hold some out with split_rows."
        )
    smallest = min(len(compared.originals), len(compared.base))
    if smallest < _FEW:
        said.append(
            f"The smallest set has {smallest} images: only large differences show. From some "
            f"{_FEW} on smaller ones do."
        )
    trained = sum(gathered.rows[row_id].split != VALIDATION for row_id in compared.base.ids)
    if compared.held_out and trained:
        said.append(
            f"{counted(trained, 'sample is', 'samples are')} of a prompt that was trained on: "
            "that hides what was learned by heart. Generate from the rows of `validation` alone."
        )
    if gathered.lone:
        said.append(
            f"{counted(gathered.lone, 'row has', 'rows have')} the image of one model only, and "
            "no pair: it was left out."
        )
    for name, whole in (("originals", gathered.held_out), ("samples", gathered.base)):
        if len(whole) > MOST:
            said.append(f"Of {len(whole):,} {name} {MOST:,} were drawn by lot to be compared.")
    return said
