"""How well the models follow their prompts: by the prompt's vector, and by its class."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from compared_sets import Compared
from gathered import Gathered, Vectors

from image_toolkit.evaluation.paired import Paired, paired_means


def clip_score(
    compared: Compared, prompts: Mapping[str, Vectors], seed: int, count: int
) -> Paired | None:
    """Return the cosines of images and their prompts; None if no sample has a prompt."""
    places = [n for n, row_id in enumerate(compared.base.ids) if row_id in prompts]
    if not places:
        return None
    texts = np.stack([prompts[compared.base.ids[place]] for place in places]).astype(np.float64)
    base, tuned = (
        np.einsum("nd,nd->n", one.vectors[places], texts) for one in (compared.base, compared.tuned)
    )
    return paired_means(base, tuned, seed, count)


def asked_class(
    compared: Compared,
    gathered: Gathered,
    classify: Callable[[Vectors], Sequence[str]],
    seed: int,
    count: int,
) -> Paired | None:
    """Return how often images are of the requested class; None if none was requested.

    A row requests its `class`, or else that of its original, which its caption describes.
    """
    asked = _classes_of_originals(gathered, classify)
    asked |= {row_id: row.asked for row_id, row in gathered.rows.items() if row.asked}
    places = [place for place, row_id in enumerate(compared.base.ids) if row_id in asked]
    if not places:
        return None
    wanted = np.array([asked[compared.base.ids[place]] for place in places], object)
    base, tuned = (
        (np.array(classify(one.vectors[places]), object) == wanted).astype(np.float64)
        for one in (compared.base, compared.tuned)
    )
    return paired_means(base, tuned, seed, count)


def _classes_of_originals(
    gathered: Gathered, classify: Callable[[Vectors], Sequence[str]]
) -> dict[str, str]:
    sets = [one for one in (gathered.held_out, gathered.training) if len(one)]
    return {
        row_id: label
        for one in sets
        for row_id, label in zip(one.ids, classify(one.vectors), strict=True)
    }
