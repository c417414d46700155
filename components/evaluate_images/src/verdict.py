"""The verdict, in one sentence: whether the dataset helped."""

from dataclasses import dataclass
from typing import Literal

from brief_numbers import brief
from compared_sets import Compared
from evaluation_figures import Figures

from image_toolkit.evaluation.resampling import Figure

Kind = Literal["nearer", "farther", "not_shown"]

_SAID = {
    "nearer": "It helped: the tuned model's images are nearer to the {originals} than the base's.",
    "farther": "It did harm: the tuned model's images are farther from the {originals} than the "
    "base's.",
    "not_shown": "No effect is shown: the tuned model's images are neither nearer to the "
    "{originals} than the base's nor farther, by more than chance.",
}


@dataclass(frozen=True)
class Verdict:
    """The verdict: as a word, as a sentence, and the figures behind it."""

    kind: Kind
    sentence: str
    figures: str


def verdict_of(figures: Figures, compared: Compared) -> Verdict:
    """Return the verdict by the gain in CMMD.

    The gain is significant if swapping the models' images within pairs gives as much in less than 1
    of 100 cases, and if its interval is on one side of 0.
    """
    gain = figures.mmd.gain
    kind = kind_of(gain)
    originals = "held-out originals" if compared.held_out else "originals that it was trained on"
    assert gain.interval is not None and gain.null is not None  # noqa: S101, PT018 - mmd_figures gives both
    told = (
        f"CMMD from the originals is {brief(figures.mmd.base.value)} for the base and "
        f"{brief(figures.mmd.tuned.value)} for the tuned model: a gain of {brief(gain.value)} "
        f"(95 % interval {brief(gain.interval.low)} to {brief(gain.interval.high)}). By chance "
        f"it exceeds {brief(gain.null.p99)} in 1 of 100 cases."
    )
    return Verdict(kind, _SAID[kind].format(originals=originals), told)


def kind_of(gain: Figure) -> Kind:
    """Classify a gain; its null extends as far below 0 as above."""
    if gain.is_above_chance:
        return "nearer"
    opposite = gain.null is not None and gain.value < -gain.null.p99
    return "farther" if opposite and gain.interval and gain.interval.high < 0 else "not_shown"
