"""Choose the fastest way of running a captioner that agrees with fp32."""

import gc
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import torch
from torch.nn.functional import cosine_similarity

from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.runtime.checked_versions import (
    check_same,
    with_private_parts,
    without_private_parts,
)
from image_toolkit.models.runtime.device import EXACT, Placement
from image_toolkit.models.runtime.hub import ModelFiles
from image_toolkit.models.runtime.model_runner import FP16_ROOM, LEAST_COSINE
from image_toolkit.models.runtime.out_of_memory import is_out_of_memory

logger = logging.getLogger(__name__)

Load = Callable[[Placement], LocalCaptioner]


def checked_captioner(
    files: ModelFiles,
    prompt: str | None,
    samples: Sequence[bytes],
    generations: Sequence[Generation],
    placement: Placement,
) -> LocalCaptioner:
    """Return a captioner, in a higher precision than requested if it deviates from fp32.

    `samples` are images to try it on; `generations` are those that it will be used with.
    """
    load = partial(_load, files, prompt, samples)
    return with_private_parts(partial(_checked, files, load, generations, placement))


def _checked(
    files: ModelFiles, load: Load, generations: Sequence[Generation], placement: Placement
) -> LocalCaptioner:
    captioner = _compared(files, load, placement)
    captioner.check_decoder(generations)
    return captioner


def _compared(files: ModelFiles, load: Load, placement: Placement) -> LocalCaptioner:
    """Return the captioner after a first run, which would expose faulty parts."""
    exact = replace(placement, precision=EXACT)
    made_for_it = files.stored_dtype == str(placement.dtype).removeprefix("torch.")
    if placement.precision == EXACT or (made_for_it and placement.precision != "int8"):
        return _told(_tried(load(placement)))
    with without_private_parts():
        wanted = _first_logits(partial(load, exact))
    if wanted is not None and placement.others:
        placement = _closest(load, placement, wanted)
    for faster, closer in pairwise([placement, *placement.closer()]):
        captioner = load(faster)
        if wanted is None:
            how = ", which was not compared: fp32 does not fit in the memory"
            return _told(_tried(captioner), how)
        cosine = _cosine(captioner, wanted)
        if cosine >= LEAST_COSINE:  # false for the NaN of non-finite logits
            return _told(captioner, f"; cosine of logits to fp32 is {cosine:.5f}")
        logger.warning(
            "%s strays from fp32: cosine of logits %.5f, least allowed %s. Going on with %s.",
            faster,
            cosine,
            LEAST_COSINE,
            closer,
        )
        del captioner
    captioner = load(exact)
    if wanted is not None:
        check_same(_cosine(captioner, wanted))
    return _told(captioner)


def _closest(load: Load, placement: Placement, wanted: torch.Tensor) -> Placement:
    """Return the placement closest to fp32, of those that are as fast."""
    found: dict[Placement, float] = {}
    for one in placement.alike():
        captioner = load(one)
        narrow = one.precision == "fp16" and not captioner.range_used() <= FP16_ROOM
        found[one] = -1.0 if narrow else _cosine(captioner, wanted)
        logger.info(
            "%s: %s.",
            captioner,
            "ends too early for a layer"
            if narrow
            else f"cosine of logits to fp32 {found[one]:.6f}",
        )
        del captioner
    return max(reversed(found), key=lambda one: found[one])  # of equals, the one with more bits


def _cosine(captioner: LocalCaptioner, wanted: torch.Tensor) -> float:
    """Return the lowest cosine of logits to fp32."""
    logits = captioner.first_logits(captioner.probes())
    return float(cosine_similarity(logits.double(), wanted.double(), dim=-1).min())


def _load(
    files: ModelFiles, prompt: str | None, samples: Sequence[bytes], placement: Placement
) -> LocalCaptioner:
    # Two at once may not fit, and a released one contains reference cycles: only this frees it.
    gc.collect()
    return LocalCaptioner(files, placement, prompt, samples)


def _first_logits(make: Callable[[], LocalCaptioner]) -> torch.Tensor | None:
    """Return the logits for a few images; None if they do not fit in memory."""
    try:
        captioner = make()
        return captioner.first_logits(captioner.probes())
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return None


def _tried(captioner: LocalCaptioner) -> LocalCaptioner:
    _first_logits(lambda: captioner)
    return captioner


def _told(captioner: LocalCaptioner, how: str = "") -> LocalCaptioner:
    logger.info("Captions on %s%s.", captioner, how)
    return captioner
