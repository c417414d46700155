"""The figures of both models as rows of a table."""

from collections.abc import Iterator
from dataclasses import dataclass

from evaluation_report import Report

from image_toolkit.evaluation.cluster_measure import PARTS
from image_toolkit.evaluation.paired import Paired
from image_toolkit.evaluation.resampling import Figure

_PARTS = dict(zip(PARTS, ("classes and clusters", "classes alone", "inside classes"), strict=True))


@dataclass(frozen=True)
class FigureRow:
    """A row: what is measured, and of what. Missing values are None.

    `gain` is above 0 if the tuned model is better; it is interpreted only with `judged`.
    """

    name: str
    about: str
    originals: float | None
    base: float | None
    tuned: float | None
    gain: Figure | None
    judged: bool = True


def figure_rows(report: Report) -> list[FigureRow]:
    """Return the rows, the main figure first."""
    return [*_distances(report), *_prompts(report), *_variety(report), *_inception(report)]


def _distances(report: Report) -> Iterator[FigureRow]:
    mmd, clusters = report.figures.mmd, report.figures.clusters.figures
    yield FigureRow(
        "CMMD",
        "distance from the originals, without bias",
        None,
        mmd.base.value,
        mmd.tuned.value,
        mmd.gain,
    )
    about = "the same as the paper's code has it, with its bias"
    yield FigureRow("CMMD, biased", about, None, mmd.base_biased, mmd.tuned_biased, None)
    for part, name in _PARTS.items():
        base, tuned = (
            clusters.pairs[pair]["js"][part].value for pair in ("base/originals", "originals/tuned")
        )
        about = f"distance from the originals, by shares of {name}"
        yield FigureRow(f"JS, {name}", about, None, base, tuned, clusters.gain[part])


def _prompts(report: Report) -> Iterator[FigureRow]:
    figures = report.figures
    if figures.clip_score is not None:
        yield _paired("CLIP score", "likeness of prompt and image", figures.clip_score)
    if figures.asked_class is not None:
        about = "share of images of the class that was asked for"
        yield _paired("Class as asked", about, figures.asked_class)


def _variety(report: Report) -> Iterator[FigureRow]:
    variety = report.figures.variety
    yield _paired("Precision", "share of images that look like originals", variety.precision)
    yield _paired("Recall", "share of originals that the images cover", variety.recall)
    about, vendi = "how many different images they amount to", variety.vendi
    originals, more = variety.vendi_originals, vendi.difference
    yield FigureRow("Vendi score", about, originals, vendi.base, vendi.tuned, more, judged=False)


def _inception(report: Report) -> Iterator[FigureRow]:
    found = report.inception
    if found is not None:
        base, tuned = found["base"], found["tuned"]
        about = f"distance by Inception, in subsets of {base.subset}"
        yield FigureRow("KID", about, None, base.kid, tuned.kid, Figure(base.kid - tuned.kid))
        gain = Figure(base.fid - tuned.fid)
        yield FigureRow("FID", "distance by Inception, biased", None, base.fid, tuned.fid, gain)


def _paired(name: str, about: str, paired: Paired) -> FigureRow:
    return FigureRow(name, about, None, paired.base, paired.tuned, paired.difference)
