"""Curation measured against ground truth: `python -m demo.curate`.

The images are quarters of the demo's photographs; near-duplicates of each, recompressed, scaled,
framed, cropped by 5 % and mirrored; and images with overlaid text. The steps are those that
`CURATE` adds to the pipeline. Prints how many near-duplicates of each kind and how much of the text
they find, and their false positives.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

from demo.photos import SUBJECTS, load
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.partitions import read_batches
from fondant_spec.exit_codes import exit_code
from fondant_spec.pipeline import Pipeline
from fondant_spec.pipeline.find_dataset import find_dataset
from fondant_spec.runners.command_line import launch
from fondant_spec.testing import read_rejects
from pipeline import COMPONENTS, curate
from pipeline_configs import PipelineConfigs

NAME: Final = "curation"
FOLDER: Final = Path("artifacts/curation/images")
HASHES: Final = ("sha256", "phash", "inner_phash", "mirrored_phash")
WANTED: Final = "text_area = 0"
TEXTS: Final = ("SAMPLE PHOTO", "do not copy", "PREVIEW", "example.org")


def _cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 40, height // 40, width - width // 40, height - height // 40))


COPIES: Final[Mapping[str, Callable[[Image.Image], Image.Image]]] = {
    "compressed": lambda image: image,
    "scaled": lambda image: image.resize((image.width * 7 // 10, image.height * 7 // 10)),
    "framed": lambda image: ImageOps.expand(image, max(image.size) // 25, "white"),
    "cropped": _cropped,
    "mirrored": ImageOps.mirror,
}


def quarters() -> Iterator[Image.Image]:
    """Yield the quarters of all photographs except one, whose halves mirror each other."""
    for subject in SUBJECTS:
        if subject == "retina":
            continue
        image = load(subject).convert("RGB")
        width, height = image.width // 2, image.height // 2
        for left in (0, width):
            for top in (0, height):
                yield image.crop((left, top, left + width, top + height))


def with_text(image: Image.Image, number: int) -> Image.Image:
    """Return the centre of an image, with text overlaid."""
    width, height = image.size
    middle = image.crop((width // 6, height // 6, width - width // 6, height - height // 6))
    text = TEXTS[number % len(TEXTS)]
    font = ImageFont.load_default(size=max(middle.width // 10, 12))
    draw = ImageDraw.Draw(middle)
    place = (middle.width // 8, middle.height // 2)
    draw.text(place, text, "white", font, stroke_width=2, stroke_fill="black")
    return middle


def write_images(folder: Path) -> None:
    """Write all images; their names are the ground truth: `<number>-<kind>.jpg`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(quarters()):
        image.save(folder / f"{number:03d}-0.jpg", quality=90)  # the first and largest of its group
        for kind, make in COPIES.items():
            make(image).save(folder / f"{number:03d}-{kind}.jpg", quality=60)
        if number % 2:
            with_text(image, number).save(folder / f"{number:03d}-text.jpg", quality=90)


def names_of(manifest: Manifest) -> dict[str, tuple[str, str]]:
    """Return the number and the kind of each image, by row id."""
    fields = {"file_name": manifest.fields["file_name"]}
    return {
        row["id"]: _name(row["file_name"])
        for partition in manifest.partitions
        for batch in read_batches(fields, manifest.index_location, partition.name)
        for row in batch.to_pylist()
    }


def _name(file_name: str) -> tuple[str, str]:
    number, _, kind = Path(file_name).stem.partition("-")
    return number, kind


def groups_of(manifest: Manifest) -> tuple[dict[str, str], dict[str, str]]:
    """Return the group of each image by row id, and the kept image for each removed one."""
    fields = {"group_id": manifest.fields["group_id"]}
    groups = {
        row["id"]: row["group_id"]
        for partition in manifest.partitions
        for batch in read_batches(fields, manifest.index_location, partition.name)
        for row in batch.to_pylist()
    }
    stayed = {r["id"]: r["message"].split(",")[0] for r in read_rejects(manifest).to_pylist()}
    return groups | {row_id: groups[kept] for row_id, kept in stayed.items()}, stayed


def report(base_path: str) -> None:
    """Print what the newest run below a base path found."""
    steps = ("load_from_hub", "deduplicate_images", "filter_rows")
    given, copies, texts = (find_dataset(f"{NAME}/{step}", base_path) for step in steps)
    names = names_of(given)
    groups, stayed = groups_of(copies)
    by_name = {name: groups[row_id] for row_id, name in names.items()}
    total = Counter(kind for _, kind in names.values())
    for kind in COPIES:
        numbers = [number for number, other in by_name if other == kind]
        found = sum(by_name[number, kind] == by_name[number, "0"] for number in numbers)
        print(f"copies {kind:12} {found / total[kind]:6.1%} of {total[kind]} found")
    right = sum(names[row_id][0] == names[kept][0] for row_id, kept in stayed.items())
    print(f"precision           {right / max(len(stayed), 1):6.1%} of {len(stayed)} left out")
    lost = Counter(names[row["id"]][1] for row in read_rejects(texts).to_pylist())
    looked_at = total["text"] - sum(names[row_id][1] == "text" for row_id in stayed)
    print(f"text                {lost['text'] / looked_at:6.1%} of {looked_at} found")
    plain = texts.rows_in - looked_at
    print(
        f"false alarms        {(lost.total() - lost['text']) / plain:6.1%} of {plain} without text"
    )


def main() -> int:
    """Make the images if they are missing, run the steps on them, and report."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.curate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(runner="local")
    base_path = PipelineConfigs.from_environment().BASE_PATH
    parser.add_argument("--base-path", default=base_path, help="where all lands")

    def build(options: argparse.Namespace) -> Pipeline:
        if not FOLDER.is_dir():
            write_images(FOLDER)
        pipeline = Pipeline(NAME, options.base_path)
        images = pipeline.add(COMPONENTS / "load_from_hub", arguments={"dataset_name": str(FOLDER)})
        curate(pipeline, images, WANTED, HASHES)
        return pipeline

    words = sys.argv[1:]
    code = launch(build, parser, words)
    options, _ = parser.parse_known_args(words)
    if code or options.dry_run:
        return code
    return exit_code(lambda: report(options.base_path), debug=options.debug)


if __name__ == "__main__":
    sys.exit(main())
