"""A summary of the rows, logged before training begins: how many, and what is unusual."""

import logging
from collections.abc import Mapping

from training_set import TrainingSet

from fondant_spec.errors import InputDataError
from image_toolkit.training.linked_rows import torn_told
from image_toolkit.training.splits import TRAIN, VALIDATION

logger = logging.getLogger(__name__)


def tell(samples: TrainingSet, rejects: Mapping[str, int], resolution: int) -> None:
    """Log what there is to train on.

    Raises:
        InputDataError: there is nothing.
    """
    count, held_out = len(samples.train), len(samples.held_out)
    if not count:
        lost = ", ".join(f"{reason} {number:,}" for reason, number in rejects.items()) or "none"
        msg = (
            f"fine_tune: no images to train on. Rows with split {VALIDATION}: {held_out:,}; "
            f"rejected: {lost}. Rows need an image, a caption, and split {TRAIN} or none."
        )
        raise InputDataError(msg)
    logger.info("%s images to train on, %s to validate with", f"{count:,}", f"{held_out:,}")
    if count == 1:
        logger.warning("One image alone: the model will learn it by heart.")
    if not held_out:
        logger.warning(
            "No images to validate with, so nothing will tell when the model begins to learn by "
            "heart: raise validation_fraction, or put split_rows before."
        )
    if torn := samples.sides.torn():
        logger.warning("%s The loss on the latter flatters the model.", torn_told(torn))
    if samples.enlarged:
        logger.warning(
            "%s of %s images are smaller than %d pixels, and were enlarged.",
            f"{samples.enlarged:,}",
            f"{count + held_out:,}",
            resolution,
        )
    if samples.cut:
        logger.warning(
            "Captions that are longer than the model takes, so that their end is not seen: %s.",
            f"{samples.cut:,}",
        )
