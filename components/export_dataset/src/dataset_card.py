"""The README of an exported dataset: how to load it, how much there is, and where it came from.

It holds names and figures only, never captions or other words from the web.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from fondant_spec.shown_text import shown

_PATTERNS: Final = {"imagefolder": "{split}/**", "webdataset": "{split}-*.tar"}
"""The files of a split, for the hub; it cannot read the layout of kohya's trainers."""

_USES: Final = {
    "imagefolder": """\
```python
from datasets import load_dataset

dataset = load_dataset("imagefolder", data_dir="path/to/this/folder", split="train")
```

`diffusers`' training script for text to image takes the training split alone:

    accelerate launch train_text_to_image.py --train_data_dir path/to/this/folder/train \\
      --caption_column text --resolution {resolution}
""",
    "kohya": """\
With sd-scripts, started in this folder:

    accelerate launch path/to/sd-scripts/sdxl_train_network.py --dataset_config dataset.toml
""",
    "webdataset": """\
```python
from datasets import load_dataset

dataset = load_dataset("webdataset", data_files="path/to/this/folder/train-*.tar", split="train")
```

The image is in the column `jpg`, its caption in `txt`, everything else in `json`.
""",
}


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


def dataset_card(
    layout: str,
    counts: Counts,
    lineage: Mapping[str, Mapping[str, Any]],
    resolution: int,
    digest: str,
) -> str:
    """Return the Markdown of the card.

    `lineage` is what each field's maker said of it, `digest` a hash of the exported files.
    """
    lines = [
        "---",
        yaml.safe_dump(_front_matter(layout, counts.pairs, digest), sort_keys=False).strip(),
        "---",
        "# Images with captions",
        "",
        "| split | pairs |",
        "|---|---:|",
        *(f"| {split} | {count:,} |" for split, count in counts.pairs.items()),
        "",
        counts.in_words(),
        "",
        "Identical images are always in the same split.",
        "",
        "## Use",
        "",
        _USES[layout].format(resolution=resolution),
        "## Made from",
        "",
        *(_made_from(name, metadata) for name, metadata in lineage.items()),
    ]
    return "\n".join(lines) + "\n"


def _front_matter(layout: str, counts: Mapping[str, int], digest: str) -> dict[str, Any]:
    """Return what tells readers where the splits are.

    `datasets` keeps what it loaded from a folder by path and name of the configuration alone, so
    that has to change with the content; it is loaded without being named.
    """
    matter: dict[str, Any] = {"task_categories": ["text-to-image"]}
    if layout in _PATTERNS:
        files = [{"split": s, "path": _PATTERNS[layout].format(split=s)} for s in counts]
        matter["configs"] = [{"config_name": f"default-{digest}", "data_files": files}]
    return matter


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
