"""The README of an exported dataset: its content, its use, and its provenance.

It contains only names and figures, never captions or other text from the web.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePath
from typing import Any, Final

import yaml
from credit_table import Credits, unlicensed
from layout import Layout
from markdown_code import code
from sample_pairs import Samples

from fondant_spec.dataset.manifest import Manifest
from image_toolkit.licences import on_the_hub
from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.training.splits import VALIDATION, none_held_out

_EARLIER: Final = (
    "Rows that earlier steps rejected are not among them: `fondant-spec show` of a step's result "
    "counts them by reason."
)
_OF_CONFIGS: Final = ("configs", "dataset_info")
_SIZES: Final = {
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
}


@dataclass(frozen=True)
class Counts:
    """The number of pairs by split, and of rejects by reason.

    `seen` is how many images an epoch has, by split, if rows have repeats.
    """

    pairs: Mapping[str, int]
    rejects: Mapping[str, int]
    seen: Mapping[str, int] = field(default_factory=dict)

    def table(self) -> Iterator[str]:
        """Yield the lines of a Markdown table, one per split."""
        told = ("| images an epoch ", "---:|") if self.seen else ("", "")
        yield from (f"| split | pairs {told[0]}|", f"|---|---:|{told[1]}")
        for split, count in self.pairs.items():
            seen = f" {self.seen[split]:,} |" if self.seen else ""
            yield f"| {split} | {count:,} |{seen}"

    def in_words(self) -> str:
        """Describe the counts of this step, and where to find the rest."""
        exported, rejected = sum(self.pairs.values()), sum(self.rejects.values())
        by_split = ", ".join(f"{split} {n:,}" for split, n in self.pairs.items())
        return (
            f"Rows that came to the export: {exported + rejected:,}. Of these {by_split or 'none'} "
            f"were written, and {_by_reason(self.rejects)} rejected. {_EARLIER}"
        )


@dataclass(frozen=True)
class DatasetCard:
    """The common content of all READMEs of an export.

    Attributes:
        counts: The number of pairs and rejects.
        lineage: The metadata of each field.
        steps: The results of the steps before the export, the earliest first.
        credits: The sources of the images.
        samples: A few of them to show.
        validation_fraction: The share that was to be held out.
    """

    counts: Counts
    lineage: Mapping[str, Mapping[str, Any]]
    steps: Sequence[Manifest] = ()
    credits: Credits = field(default_factory=lambda: Credits(()))
    samples: Samples = field(default_factory=Samples)
    validation_fraction: float = 0.0

    def of_layout(self, layout: Layout, digest: str) -> str:
        """Return the README of a layout, in Markdown.

        `datasets` caches what it loaded from a folder by path and configuration name only, so the
        name has to change with the content, of which `digest` is a hash; users load it without
        giving the name.
        """
        matter = layout.front_matter(f"default-{digest}")
        return self._text(layout.folder, matter, layout.use())

    def of_layouts(self, folder: HashedFolder, names: Mapping[str, Layout], digest: str) -> str:
        """Return the README of a folder with several layouts, each in a folder of its own."""
        lines = ["Each folder is for one trainer, and its `README.md` has the command:", ""]
        lines += [f"- [`{name}`]({name}/README.md)" for name in names]
        lines += ["", "They share their image files: one that is edited in its place is in all."]
        matters = [
            _moved_into(name, layout.front_matter(f"{name}-{digest}"))
            for name, layout in names.items()
        ]
        joined = {key: [*chain.from_iterable(m[key] for m in matters)] for key in _OF_CONFIGS}
        matter = {key: entries for key, entries in joined.items() if entries}
        return self._text(folder, matter, "\n".join(lines) + "\n")

    def _text(self, folder: HashedFolder, front_matter: Mapping[str, Any], use: str) -> str:
        lines = [
            "---",
            yaml.safe_dump({**self._front_matter(), **front_matter}, sort_keys=False).strip(),
            "---",
            "# Images with captions",
            "",
            "Pairs to fine-tune a text-to-image model on, exported by a Fondant pipeline.",
            "",
            " ".join(self.samples.pictures(folder)),
            "",
            *self.counts.table(),
            "",
            self.counts.in_words(),
            "",
            "## Use",
            "",
            use,
            "## Credit and consent",
            "",
            *self.credits.section(self.lineage.get("final_url", {})),
            "",
            "## How it was made",
            "",
            *self._figures(),
            *(_made_from(name, metadata) for name, metadata in self.lineage.items()),
            "",
            "## Known limits",
            "",
            *(f"- {limit}" for limit in self._limits()),
        ]
        return "\n".join(lines) + "\n"

    def _front_matter(self) -> dict[str, Any]:
        pairs = sum(self.counts.pairs.values())
        size = next((told for below, told in _SIZES.items() if pairs < below), "n>10M")
        return {
            **on_the_hub(self.credits.licences or {"unknown": pairs}),
            "task_categories": ["text-to-image"],
            "size_categories": [size],
        }

    def _figures(self) -> Iterator[str]:
        """Yield a table of the rows that passed each step of the pipeline."""
        if not self.steps:
            return
        yield from ("| step | component | rows in | rows out | rejects |", "|---|---|--:|--:|---|")
        for step in self.steps:
            name, component = code(step.step_id), code(step.component.get("name", "-"))
            rejects = _by_reason(step.rejects)
            yield f"| {name} | {component} | {step.rows_in:,} | {step.rows:,} | {rejects} |"
        yield ""

    def _limits(self) -> Iterator[str]:
        model = self.lineage.get("caption", {}).get("model_id")
        if model:
            name = code(_public(str(model)))
            yield f"The captions are by a model, {name}, and may be wrong or biased."
        if count := unlicensed(self.credits.licences):
            yield f"Of {count:,} images the licence is not known: clear that before you publish."
        if self.credits.known:
            yield "Licences and authors are what the source says; nobody has looked."
        yield "Identical images are in the same split; those that are only alike may be in both."
        if VALIDATION not in self.counts.pairs:
            nothing = none_held_out(self.counts.pairs, self.validation_fraction)
            yield f"There is no validation split. {nothing}".rstrip()


def _moved_into(folder: str, matter: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the configurations in a layout's front matter, relative to the parent folder."""
    configs = [
        {
            **config,
            "data_files": [
                {**files, "path": f"{folder}/{files['path']}"} for files in config["data_files"]
            ],
        }
        for config in matter.get("configs", ())
    ]
    infos = [matter["dataset_info"]] if "dataset_info" in matter else []
    return {"configs": configs, "dataset_info": infos}


def _by_reason(rejects: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {n:,}" for reason, n in sorted(rejects.items())) or "none"


def _made_from(name: str, metadata: Mapping[str, Any]) -> str:
    facts = ", ".join(
        f"{key} {code(json.dumps(_public(value), ensure_ascii=False))}"
        for key, value in metadata.items()
        if value is not None
    )
    return f"- {code(name)}: {facts or 'its maker left no word'}"


def _public(value: Any) -> Any:
    """Return a value fit for publication: of a local path, only the last part."""
    is_path = isinstance(value, str) and PurePath(value).is_absolute()
    return PurePath(value).name if is_path else value
