"""The model cards of the tiny models: what they are, their training data, and their quality."""

from pathlib import Path

from demo.photos import PHOTOS

CARD = """---
license: apache-2.0
library_name: {library}
pipeline_tag: {task}
---
# A tiny {name} for the offline demo

{what}
It knows {known} photographs and nothing else: it is there so that the whole pipeline can run, and
be checked, without a network or a GPU. For real data, name a real model instead.

Made by `python -m demo.train`, which is seeded, in {steps} steps on {crops} crops.

## Figures

Measured on {measured_on}.

| figure | value |
|---|---|
{figures}

## Training data

Crops of photographs that scikit-image, scikit-learn and matplotlib ship, with changed brightness,
contrast, noise and blur, mirrored or in grey, each with a caption that follows from how the crop
was made. The held-out crops, the demo's collection and its seeds are other windows of the same
photographs: no window was trained on, but every subject was seen{but}.
The figures say that the demo works, not that the model would recognise another cat.

| subject | photograph |
|---|---|
{credits}

## Licence

The weights are under the Apache License 2.0, like the code that made them. The photographs are not
part of this folder; each keeps the terms named above.
"""


def write_card(  # noqa: PLR0913 - the blanks of the card
    folder: Path,
    *,
    name: str,
    task: str,
    what: str,
    steps: int,
    crops: int,
    measured_on: str,
    figures: dict[str, float],
    library: str = "transformers",
    unseen: str | None = None,
) -> None:
    """Write the card into a model's folder; figures are shares up to one, or counts above one.

    `unseen` is the subject that the model was not trained on, if there is one.
    """
    lines = [
        f"| {label} | {value:.1%} |" if value <= 1 else f"| {label} | {value:.0f} |"
        for label, value in figures.items()
    ]
    credits_ = [f"| {photo.subject} | {photo.credit} |" for photo in PHOTOS]
    card = CARD.format(
        name=name,
        library=library,
        known="sixteen" if unseen is None else "fifteen",
        but="" if unseen is None else f" but the {unseen}",
        task=task,
        what=what,
        steps=steps,
        crops=crops,
        measured_on=measured_on,
        figures="\n".join(lines),
        credits="\n".join(credits_),
    )
    (folder / "README.md").write_text(card)
