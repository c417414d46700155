"""The README of an exported dataset: how to use it, how much there is, and where it came from.

It holds names and figures only, never captions or other words from the web.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml
from layout import Layout

from fondant_spec.shown_text import shown

_EARLIER: Final = (
    "Rows that earlier steps rejected are not among them: `fondant-spec show` of a step's result "
    "counts them by reason."
)


@dataclass(frozen=True)
class Counts:
    """What became of the rows that came in: pairs by split, and rejects by reason."""

    pairs: Mapping[str, int]
    rejects: Mapping[str, int]

    def in_words(self) -> str:
        """Return all that the step knows, and where to look for the rest."""
        exported, rejected = sum(self.pairs.values()), sum(self.rejects.values())
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(self.rejects.items()))
        by_split = ", ".join(f"{split} {n:,}" for split, n in self.pairs.items())
        return (
            f"Rows that came to the export: {exported + rejected:,}. Of these {by_split or 'none'} "
            f"were written, and {reasons or 'none'} rejected. {_EARLIER}"
        )


@dataclass(frozen=True)
class DatasetCard:
    """What all READMEs of an export say: the counts, and what each field's maker said of it."""

    counts: Counts
    lineage: Mapping[str, Mapping[str, Any]]

    def of_layout(self, layout: Layout, digest: str) -> str:
        """Return the README of a layout, in Markdown.

        `datasets` keeps what it loaded from a folder by path and name of the configuration alone,
        so that has to change with the content, of which `digest` is a hash; it is loaded without
        being named.
        """
        return self._text(layout.front_matter(f"default-{digest}"), layout.usage())

    def of_layouts(self, names: Mapping[str, Layout]) -> str:
        """Return the README of a folder with several layouts, each in a folder of its own."""
        lines = ["Each folder is for one trainer, and its `README.md` has the command:", ""]
        lines += [f"- [`{name}`]({name}/README.md)" for name in names]
        lines += ["", "They share their image files: one that is edited in its place is in all."]
        return self._text({}, "\n".join(lines) + "\n")

    def _text(self, front_matter: Mapping[str, Any], use: str) -> str:
        matter = {"task_categories": ["text-to-image"], **front_matter}
        lines = [
            "---",
            yaml.safe_dump(matter, sort_keys=False).strip(),
            "---",
            "# Images with captions",
            "",
            "| split | pairs |",
            "|---|---:|",
            *(f"| {split} | {count:,} |" for split, count in self.counts.pairs.items()),
            "",
            self.counts.in_words(),
            "",
            "Identical images are always in the same split.",
            "",
            "## Use",
            "",
            use,
            "## Made from",
            "",
            *(_made_from(name, metadata) for name, metadata in self.lineage.items()),
        ]
        return "\n".join(lines) + "\n"


def _made_from(name: str, metadata: Mapping[str, Any]) -> str:
    facts = ", ".join(
        f"{key} {_code(json.dumps(value, ensure_ascii=False))}"
        for key, value in metadata.items()
        if value is not None
    )
    return f"- {_code(name)}: {facts or 'its maker left no word'}"


def _code(text: str) -> str:
    """Return text as code on a line: between more backticks than it has in a row itself."""
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{ticks}{space}{shown(' '.join(text.splitlines()))}{space}{ticks}"
