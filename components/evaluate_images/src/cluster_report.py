"""The content of the three sets: classes and clusters, which of them moved, and examples."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from compared_sets import Compared
from gathered import Crop, Gathered, ImageSet, Vectors
from numpy.typing import NDArray

from fondant_spec.errors import InputDataError
from image_toolkit.evaluation.class_clusters import ClassClusters
from image_toolkit.evaluation.cluster_measure import (
    BASE,
    ORIGINALS,
    TUNED,
    Binned,
    ClusterFigures,
    cluster_figures,
)
from image_toolkit.evaluation.resampling import Resamples
from image_toolkit.evaluation.share_tests import share_tests

Classify = Callable[[Vectors], Sequence[str]]

NAMES: Final = (ORIGINALS, BASE, TUNED)
_EXAMPLES: Final = 6


@dataclass(frozen=True)
class Shares:
    """The share of a class or cluster in each set.

    Attributes:
        label: The class.
        number: The number of the cluster in it, from 1; None for the class as a whole.
        counts: By set.
        shares: By set, from 0 to 1.
        p_tuning: The p-value of the difference between base and tuned, corrected for all together.
        p_originals: Likewise, between originals and tuned.
        moved: Whether the first is below 1 in 20.
        examples: Names of a few images, by set.
    """

    label: str
    number: int | None
    counts: Mapping[str, int]
    shares: Mapping[str, float]
    p_tuning: float
    p_originals: float
    moved: bool
    examples: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class ClusterReport:
    """The divergences, and their components.

    Attributes:
        figures: KL and JS, gain and drift.
        bins: The number of clusters, over all classes.
        dimensions: The number of principal components of the vectors that were used.
        classes: The largest first.
        clusters: Those that moved most between base and tuned first.
        different: How many clusters differ from those of the originals (NDB), by model.
        crops: The number of crops in each set; whole images count as one.
        crops_per_image: Of each set, by class.
    """

    figures: ClusterFigures
    bins: int
    dimensions: int
    classes: Sequence[Shares]
    clusters: Sequence[Shares]
    different: Mapping[str, int]
    crops: Mapping[str, int]
    crops_per_image: Mapping[str, Mapping[str, float]]


def cluster_report(
    gathered: Gathered, compared: Compared, classify: Classify, resamples: Resamples
) -> ClusterReport:
    """Return the distribution of the sets over classes and over clusters inside them.

    Raises:
        InputDataError: a detector found nothing in one of the sets.
    """
    sets = {ORIGINALS: compared.originals, BASE: compared.base, TUNED: compared.tuned}
    crops = {name: _crops_of(gathered, images, classify) for name, images in sets.items()}
    clusters, bins = _clusters(crops, resamples.seed)
    size = len(clusters.bin_classes)
    binned = Binned(
        **{
            name: _histograms(images, crops[name], bins[name], size)
            for name, images in sets.items()
        },
        bin_classes=clusters.bin_classes,
    )
    names = sorted(set(clusters.bin_classes))
    to_class = np.array([names.index(one) for one in clusters.bin_classes])
    numbers = [
        clusters.bin_classes[:place].count(one) + 1
        for place, one in enumerate(clusters.bin_classes)
    ]
    by_cluster = _shares(clusters.bin_classes, numbers, crops, bins)
    by_class = _shares(names, None, crops, {name: to_class[own] for name, own in bins.items()})
    found = {
        name: share_tests(binned.counts(ORIGINALS), binned.counts(name)) for name in (BASE, TUNED)
    }
    return ClusterReport(
        figures=cluster_figures(binned, resamples),
        bins=size,
        dimensions=clusters.dimensions,
        classes=sorted(by_class, key=lambda one: (-sum(one.counts.values()), one.label)),
        clusters=sorted(by_cluster, key=_by_movement),
        different={name: sum(one.moved for one in tests) for name, tests in found.items()},
        crops={name: len(own) for name, own in crops.items()},
        crops_per_image={name: _per_image(crops[name], len(sets[name])) for name in NAMES},
    )


def _crops_of(gathered: Gathered, images: ImageSet, classify: Classify) -> list[Crop]:
    """Return the objects found in the images, or each image as a whole with its class.

    Raises:
        InputDataError: a detector found nothing.
    """
    if gathered.crops is not None:
        known = set(images.ids)
        found = [crop for crop in gathered.crops[images.source] if crop.row_id in known]
        if not found:
            msg = (
                f"evaluate_images: the detector found nothing in the images of {images.source!r}; "
                "lower detector_threshold, or leave out `detector` to compare whole images."
            )
            raise InputDataError(msg)
        return found
    labels = classify(images.vectors)
    return [
        Crop(row_id, label, vector, images.name(place))
        for place, (row_id, label, vector) in enumerate(
            zip(images.ids, labels, images.vectors, strict=True)
        )
    ]


def _clusters(
    crops: Mapping[str, Sequence[Crop]], seed: int
) -> tuple[ClassClusters, dict[str, NDArray[np.int64]]]:
    """Cluster all three sets together; return the clusters, and the cluster of each crop."""
    vectors = {name: np.stack([crop.vector for crop in own]) for name, own in crops.items()}
    labels = {name: [crop.label for crop in own] for name, own in crops.items()}
    made = ClassClusters(
        np.concatenate([vectors[name] for name in NAMES]),
        [label for name in NAMES for label in labels[name]],
        min(map(len, crops.values())),
        seed,
    )
    return made, {name: made.bins_of(vectors[name], labels[name]) for name in NAMES}


def _histograms(
    images: ImageSet, crops: Sequence[Crop], bins: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """Return the number of crops per image and bin."""
    places = {row_id: place for place, row_id in enumerate(images.ids)}
    made = np.zeros((len(images), size))
    for crop, number in zip(crops, bins, strict=True):
        made[places[crop.row_id], number] += 1
    return made


def _shares(
    labels: Sequence[str],
    numbers: Sequence[int] | None,
    crops: Mapping[str, Sequence[Crop]],
    bins: Mapping[str, NDArray[np.int64]],
) -> list[Shares]:
    counts = {
        name: np.bincount(bins[name], minlength=len(labels)).astype(np.float64) for name in NAMES
    }
    tuning, originals = (share_tests(counts[one], counts[TUNED]) for one in (BASE, ORIGINALS))
    examples = {
        name: [
            [crops[name][place].name for place in np.flatnonzero(bins[name] == number)[:_EXAMPLES]]
            for number in range(len(labels))
        ]
        for name in NAMES
    }
    return [
        Shares(
            label=label,
            number=numbers[place] if numbers is not None else None,
            counts={name: int(counts[name][place]) for name in NAMES},
            shares={name: float(counts[name][place] / counts[name].sum()) for name in NAMES},
            p_tuning=tuning[place].p,
            p_originals=originals[place].p,
            moved=tuning[place].moved,
            examples={name: examples[name][place] for name in NAMES},
        )
        for place, label in enumerate(labels)
    ]


def _by_movement(one: Shares) -> tuple[float, float, str, int]:
    return one.p_tuning, -abs(one.shares[TUNED] - one.shares[BASE]), one.label, one.number or 0


def _per_image(crops: Sequence[Crop], images: int) -> dict[str, float]:
    counted = Counter(crop.label for crop in crops)
    return {label: count / images for label, count in sorted(counted.items())}
