"""The quality of the demo's dataset, and a picture of it: `python -m demo.report`.

Prints retrieval precision and caption accuracy against the ground truth, which no step of the
pipeline reads, and writes a contact sheet.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from demo.collection import ROOT
from demo.contact_sheet import Hit, SheetRow, contact_sheet
from demo.evaluate import evaluate, names, read_truth
from demo.newest_run import newest_run, read_rows
from fondant_spec.dataset import storage
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.exit_codes import exit_code
from pipeline_configs import PipelineConfigs

SEEDS_SHOWN, HITS_SHOWN = 6, 6
GOAL = 0.95
FIELDS = ("seed_id", "image_url", "similarity", "image", "caption")


def main() -> int:
    """Report on the newest run below BASE_PATH; return 1 if it misses its target."""
    parser = argparse.ArgumentParser(prog="python -m demo.report", description=__doc__)
    parser.add_argument("--base-path", default=PipelineConfigs.from_environment().BASE_PATH)
    parser.add_argument("--sheet", type=Path, default=Path("artifacts/demo/contact_sheet.png"))
    parser.add_argument("--debug", action="store_true", help="show the traceback of a defect")
    options = parser.parse_args()
    return exit_code(
        lambda: report(storage.normalize(options.base_path), options.sheet), debug=options.debug
    )


def report(base_path: str, sheet: Path) -> int:
    """Print the scores of the newest run and draw its contact sheet."""
    manifests = newest_run(base_path)
    subjects = seed_subjects(manifests)
    rows = read_rows(manifests["caption_images"], FIELDS)
    for row in rows:
        row["subject"] = subjects[row["seed_id"]]
        row["url"] = row["image_url"]
    evaluation = evaluate(rows, read_truth(ROOT / "truth.parquet"))
    overall = evaluation.overall
    print(f"\n{evaluation}\n")
    print("One photograph a subject, and small models that were trained on crops of them:")
    print("this shows that the steps work together, and not how good CLIP and BLIP are.")
    print(f"retrieval precision  {overall.precision:.1%} of {overall.rows} images")
    print(f"caption accuracy     {overall.caption_accuracy:.1%} of {overall.captions} captions")
    if "load_from_hub" in manifests:
        seeds = read_rows(manifests["load_from_hub"], ("image",))
        contact_sheet(
            sheet_rows(seeds, rows, subjects),
            sheet,
            title="Seed images, what they retrieve, and how it is captioned",
            subtitle=f"{overall.rows} images from {len(seeds)} seeds",
        )
        print(f"contact sheet        {sheet}")
    print(f"training set         {storage.join(manifests['export_dataset'].folder, 'output')}")
    return 0 if min(overall.precision, overall.caption_accuracy) >= GOAL else 1


def seed_subjects(manifests: Mapping[str, Manifest], root: Path = ROOT) -> dict[str, str]:
    """Return the true subject of each seed image or prompt, by the ids that hits refer to.

    `root` is the folder of the demo's files.
    """
    subjects: dict[str, str] = {}
    starts = [name for name in ("load_from_hub", "generate_prompts") if name in manifests]
    for number, name in enumerate(starts):
        prefix = f"{number}-" if len(starts) > 1 else ""
        if name == "load_from_hub":
            rows = read_rows(manifests[name], ())
            truth = _subjects(root, len(rows))
        else:
            rows = read_rows(manifests[name], ("text",))
            truth = [names(row["text"])[0] for row in rows]
        subjects |= {prefix + row["id"]: shown for row, shown in zip(rows, truth, strict=True)}
    return subjects


def sheet_rows(
    seeds: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    subjects: Mapping[str, str],
) -> list[SheetRow]:
    """Return the contact sheet's rows: one seed for each of some subjects, and its best hits."""
    hits: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        hits[row["seed_id"]].append(row)
    step = max(1, len(seeds) // SEEDS_SHOWN)
    return [
        SheetRow(
            seed["image"],
            subjects[seed["id"]],
            [
                Hit(row["image"], row["similarity"], row["caption"])
                for row in sorted(hits[seed["id"]], key=lambda row: -row["similarity"])[:HITS_SHOWN]
            ],
        )
        for seed in seeds[::step][:SEEDS_SHOWN]
    ]


def _subjects(root: Path, count: int) -> list[str]:
    """Return the true subject of each seed, in the order of the seeds' file."""
    files = sorted((root / "seeds" / "data").glob("*.parquet"))
    table = pq.read_table(files[0], columns=["subject"])
    return list(table["subject"].to_pylist()[:count])


if __name__ == "__main__":
    sys.exit(main())
