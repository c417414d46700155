"""From a folder of images to one that a trainer reads: caption, look, correct, export.

    python examples/caption_my_images.py FOLDER --trainer kohya --base-model sdxl

Look at `captioned/look/index.html`. To correct captions, change the texts in `captioned/look/texts`
and give the same command again: only the export is made anew. The trainer's folder, with its
configuration and a README, is `captioned/training/kohya`. Near copies are named in the log.

FOLDER may be any dataset that load_from_hub takes. All arguments of the steps can be given as well:
--set caption_images.trigger_word=sks --set export_dataset.validation_fraction=0.1
"""

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fondant_spec.dataset import storage
from fondant_spec.dataset.writable_places import why_no_folder
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.option_values import count
from fondant_spec.pipeline import Pipeline, Step
from fondant_spec.runners.command_line import launch
from fondant_spec.spec.component_spec import ComponentSpec
from image_toolkit.edits.corrected_captions import take_over
from image_toolkit.edits.journal import Journal, edits_folder
from image_toolkit.edits.replay import with_edits
from image_toolkit.images.image_files import has_image_suffix
from image_toolkit.publishing.own_folders import own_folders
from image_toolkit.publishing.published_folder import check_replaceable
from image_toolkit.training.trained_models import model_to_train

EXAMPLES = Path(__file__).parent
COMPONENTS = EXAMPLES.parent / "components"
CAPTION_SUFFIXES = (".txt", ".caption")
EXPORT = ComponentSpec.from_file(COMPONENTS / "export_dataset").arguments


def build(options: argparse.Namespace) -> Pipeline:
    """Describe the pipeline, once what was corrected since the last run is taken over.

    Raises:
        InvalidArgumentError: a trainer does not train the base model, or there is no room for what
            comes last; told before any model runs.
        StorageError: the trainer's folder is not as it was exported.
    """
    for trainer in options.trainer:
        model_to_train(trainer, options.base_model, "--base-model")
    pipeline = Pipeline("my-captions", options.base_path)
    output = Path(options.output)
    if not _keeps(options):
        _tell_of_captions(Path(options.dataset))
    images = _images(pipeline, options)
    pipeline.add(EXAMPLES / "near_copies", after=images)
    captions = pipeline.add(
        COMPONENTS / "caption_images",
        after=images,
        arguments={"model_id": options.model, "keep_existing": _keeps(options)},
    )
    if not (options.dry_run or options.compile_only):
        _check_output(output)
        if options.until in (None, "export_dataset"):
            check_replaceable(storage.normalize(output / "training"))
        _take_over(output / "look" / "texts", pipeline.base_path)
    corrected = with_edits(pipeline, captions, COMPONENTS / "apply_edits")
    pipeline.add(
        EXAMPLES / "caption_page",
        after=corrected,
        arguments={"output_path": str(output / "look")},
    )
    pipeline.add(
        COMPONENTS / "export_dataset",
        after=corrected,
        arguments={
            "layouts": options.trainer,
            "base_model": options.base_model,
            "output_path": str(output / "training"),
            "name_files_by": "file_name",
        },
    )
    return pipeline


def _images(pipeline: Pipeline, options: argparse.Namespace) -> Step:
    """Add what loads the images, with their captions if they are kept, and what scales them."""
    keep = _keeps(options)
    images = pipeline.add(
        COMPONENTS / "load_from_hub",
        arguments={
            "dataset_name": options.dataset,
            "image_column": options.image_column,
            "column_name_mapping": {options.keep_captions: "caption"} if keep else {},
        },
        produces={"caption": "string"} if keep else {},
    )
    if options.resize or options.min_size:
        images = pipeline.add(
            EXAMPLES / "fit_images",
            after=images,
            arguments={"image_size": options.resize, "min_size": options.min_size},
        )
    return images


def _keeps(options: argparse.Namespace) -> bool:
    """Return whether captions that the images have are kept."""
    return options.keep_captions is not None


def _tell_of_captions(folder: Path) -> None:
    """Say that images have captions beside them, which are about to be passed over."""
    texts = _captions_beside_images(folder)
    if texts:
        images = f"{len(texts):,} images" if len(texts) > 1 else "an image"
        told = f"{folder}: captions lie beside {images}, such as {texts[0].name}"
        print(f"{told}; --keep-captions keeps them, else all images are captioned anew")


def _captions_beside_images(folder: Path) -> list[Path]:
    """Return texts with the names of images, but for those that these programs wrote."""
    found = []
    for here, below, names in os.walk(folder):
        below[:] = sorted({*below} - own_folders(Path(here)))
        images = {Path(name).stem for name in names if has_image_suffix(name)}
        files = (Path(here, name) for name in sorted(names))
        found += [f for f in files if f.suffix.lower() in CAPTION_SUFFIXES and f.stem in images]
    return found


def _check_output(output: Path) -> None:
    """Make sure that there is room for what comes last.

    Raises:
        InvalidArgumentError: files cannot be written there.
    """
    for folder in (output, output / "look", output / "training"):
        if why := why_no_folder(str(folder)):
            msg = f"--output {output}: {why}; name a folder that you may write to."
            raise InvalidArgumentError(msg)


def _take_over(texts: Path, base_path: str) -> None:
    """Keep what a person changed in the texts of the page."""
    journal = Journal(edits_folder(base_path))
    names = take_over(texts, journal, getpass.getuser())
    if names:
        print(f"taken over: {len(names):,} corrected captions, {', '.join(names[:3])}")


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, and run the pipeline."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", metavar="FOLDER", help="images; or a file, or a hub id")
    parser.add_argument(
        "--trainer",
        nargs="+",
        default=["imagefolder"],
        choices=EXPORT["layout"].choices,
        help="whom the folder is for; several are given one after the other",
    )
    parser.add_argument(
        "--base-model", choices=EXPORT["base_model"].choices, help="what is to be fine-tuned"
    )
    parser.add_argument("--output", default="captioned", help="where to look, and to train from")
    parser.add_argument("--image-column", default="image")
    parser.add_argument(
        "--resize", type=count, metavar="PIXELS", help="scale shorter sides down to this"
    )
    parser.add_argument(
        "--min-size", type=count, default=0, metavar="PIXELS", help="least shorter side"
    )
    parser.add_argument(
        "--keep-captions",
        nargs="?",
        const="text",
        metavar="COLUMN",
        help="keep captions that images have, in this column or (text) in files beside them",
    )
    parser.add_argument("--model", default="Salesforce/blip-image-captioning-base")
    parser.add_argument("--base-path", default="artifacts", help="where the steps write")
    return launch(build, parser, argv, settings=os.environ)


if __name__ == "__main__":
    sys.exit(main())
