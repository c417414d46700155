"""All figures of an evaluation, computed from the vectors of its images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from cluster_report import Classify, ClusterReport, cluster_report
from compared_sets import Compared
from gathered import Gathered, ImageSet, Vectors
from numpy.typing import NDArray
from prompt_scores import asked_class, clip_score

from image_toolkit.evaluation.cluster_measure import BASE, TUNED
from image_toolkit.evaluation.manifold import PrecisionRecall, precision_and_recall
from image_toolkit.evaluation.memorisation import memorisation
from image_toolkit.evaluation.mmd_gain import MmdFigures, mmd_figures
from image_toolkit.evaluation.paired import Paired, paired_sets
from image_toolkit.evaluation.resampling import Resamples
from image_toolkit.evaluation.vendi import vendi_score

_SWAPS: Final = 100
_MOST_SWAPPED: Final = 500
"""Images up to which a set's own score is recomputed for a null distribution."""

_PAIRS: Final = 12


@dataclass(frozen=True)
class NearestPair:
    """The names of a generated image and its nearest training image."""

    generated: str
    training: str
    cosine: float


@dataclass(frozen=True)
class Copies:
    """The similarity of a model's images to the training images.

    Attributes:
        baseline: By percentile, the cosine that this percentage of held-out images exceeds.
        nearer: By percentile, the share of the model's images that exceed it.
        median: The median cosine of an image and its nearest training image.
        pairs: The nearest ones.
    """

    baseline: Mapping[int, float]
    nearer: Mapping[int, float]
    median: float
    pairs: tuple[NearestPair, ...]


@dataclass(frozen=True)
class Variety:
    """Scores of whole sets, which depend on the set size, so all sets have the same size.

    Attributes:
        images: In each set.
        precision: The share of a model's images that look like originals.
        recall: The share of originals that a model's images cover.
        vendi: The effective number of different images of a model.
        vendi_originals: The same of the originals.
    """

    images: int
    precision: Paired
    recall: Paired
    vendi: Paired
    vendi_originals: float


@dataclass(frozen=True)
class Figures:
    """All measurements; None where one was not possible.

    Attributes:
        mmd: CMMD of each model from the originals, and the gain.
        clusters: The divergences over classes and clusters, and what moved.
        variety: Precision, recall and diversity.
        clip_score: Cosine of a prompt's vector with that of its image.
        asked_class: How often a model's image is of the requested class.
        copies: The similarity of images to the training images, by model.
    """

    mmd: MmdFigures
    clusters: ClusterReport
    variety: Variety
    clip_score: Paired | None
    asked_class: Paired | None
    copies: Mapping[str, Copies]


def figures_of(
    gathered: Gathered,
    compared: Compared,
    prompts: Mapping[str, Vectors],
    classify: Classify,
    lots: tuple[int, int],
) -> Figures:
    """Compute all figures.

    Args:
        gathered: all images.
        compared: those of them that are compared.
        prompts: the vectors of the captions, by row id.
        classify: classifies images by their vectors.
        lots: the seed, and the number of resamples.
    """
    resamples = Resamples(len(compared.base), len(compared.originals), *lots)
    return Figures(
        mmd=mmd_figures(
            compared.originals.vectors, compared.base.vectors, compared.tuned.vectors, resamples
        ),
        clusters=cluster_report(gathered, compared, classify, resamples),
        variety=_variety(compared, *lots),
        clip_score=clip_score(compared, prompts, *lots),
        asked_class=asked_class(compared, gathered, classify, *lots),
        copies=_copies(gathered, compared),
    )


def _variety(compared: Compared, seed: int, count: int) -> Variety:
    size = min(len(compared.originals), len(compared.base))
    originals, base, tuned = (
        one.some(size, seed).vectors for one in (compared.originals, compared.base, compared.tuned)
    )
    swaps = min(_SWAPS, count) if size <= _MOST_SWAPPED else 0

    def covered(vectors: NDArray[np.floating]) -> PrecisionRecall:
        return precision_and_recall(originals, vectors)

    return Variety(
        images=size,
        precision=paired_sets(lambda one: covered(one).precision, base, tuned, seed, swaps),
        recall=paired_sets(lambda one: covered(one).recall, base, tuned, seed, swaps),
        vendi=paired_sets(vendi_score, base, tuned, seed, swaps),
        vendi_originals=vendi_score(originals),
    )


def _copies(gathered: Gathered, compared: Compared) -> dict[str, Copies]:
    """Return the similarity of images to the training images; empty if there are none."""
    if not len(gathered.training):
        return {}
    held_out = gathered.held_out.vectors if compared.held_out else gathered.held_out.vectors[:0]
    made = {}
    for name, images in ((BASE, compared.base), (TUNED, compared.tuned)):
        found = memorisation(images.vectors, gathered.training.vectors, held_out)
        pairs = _nearest(images, gathered.training, found.nearest, found.cosines)
        made[name] = Copies(found.baseline, found.nearer, float(np.median(found.cosines)), pairs)
    return made


def _nearest(
    images: ImageSet,
    training: ImageSet,
    nearest: NDArray[np.int64],
    cosines: NDArray[np.float64],
) -> tuple[NearestPair, ...]:
    order = np.argsort(-cosines, kind="stable")[:_PAIRS]
    return tuple(
        NearestPair(images.name(n), training.name(int(nearest[n])), float(cosines[n]))
        for n in order
    )
