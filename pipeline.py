r"""From a few seed images to a captioned image dataset for Stable Diffusion fine-tuning.

    load_from_hub ----> image_embedding \
                                         > laion_retrieval -> download_images -> caption_images
    generate_prompts -> text_embedding  /                     [-> apply_edits]  -> export_dataset

If CURATE is set, near-duplicates and poor images are removed before captioning:

    download_images -> score_images -> deduplicate_images -> score_images -> filter_rows
                       hashes          one of each           text, blur, ...  by CURATE

Run `python pipeline.py`. Configure it in `pipeline_configs.py` or the environment; with nothing
configured, it says what to set and exits with 1. `make demo` runs it offline on its own data.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from fondant_spec.errors import InvalidConfigError, MissingDependencyError
from fondant_spec.pipeline import Pipeline, Resources, Step
from fondant_spec.runners.command_line import launch
from image_toolkit.edits.replay import with_edits
from image_toolkit.retrieval.hub.known_indexes import full_location, known_model
from pipeline_configs import PipelineConfigs

NAME = "stable-diffusion"
COMPONENTS = Path(__file__).parent / "components"

NEGATIVE_WEIGHT = -0.5
INTERIOR_DESIGN = "interior_design"
PROMPTS = 100
CLIP_MODEL = "openai/clip-vit-large-patch14"  # unless the index says otherwise
IMAGES_PER_SEED = 20
SPARES = 2.0  # twice as many extra URLs, as those of an old index fail to a third and more
TRAINING_SIZE = 512  # pixels: the resolution that Stable Diffusion 1 and 2 are trained at

USUAL = "usual"
USUAL_RULES = {
    "sharp": "blur > 0.25",
    "no_chart": "flatness < 0.9",
    "no_text": "text_area < 0.1",
}
USUAL_SCORES = ("blur", "flatness", "text_area")
HASHES = ("inner_phash", "mirrored_phash")
SCORES = ("blur", "brightness", "contrast", "colourfulness", "flatness", "text_area")


def build(configs: PipelineConfigs) -> Pipeline:
    """Describe the pipeline: its steps, in order, and their arguments. Nothing runs here."""
    pipeline = Pipeline(NAME, configs.BASE_PATH)
    gpu = gpu_resources(configs)
    starts = _starts(pipeline, configs, gpu)
    told = {"class_prompt": "string"} if configs.CLASS_PROMPT else {}
    hits = pipeline.add(
        COMPONENTS / "laion_retrieval",
        after=starts,
        arguments=_index(configs) | {"num_images": IMAGES_PER_SEED, "spares": SPARES},
        produces=told,
    )
    images = pipeline.add(
        COMPONENTS / "download_images",
        after=hits,
        arguments={"image_size": TRAINING_SIZE},
    )
    if configs.CURATE:
        images = curate(pipeline, images, configs.CURATE)
    captions = pipeline.add(
        COMPONENTS / "caption_images",
        after=images,
        arguments={"model_id": configs.CAPTION_MODEL},
        resources=gpu,
    )
    corrected = with_edits(pipeline, captions, COMPONENTS / "apply_edits")
    pipeline.add(COMPONENTS / "export_dataset", after=corrected)
    return pipeline


def gpu_resources(configs: PipelineConfigs) -> Resources:
    """Return the cluster resources of a step that runs a model: a GPU, on a node that has one."""
    return Resources(
        accelerator=configs.GPU_RESOURCE,
        node_selector={configs.GPU_POOL_LABEL: configs.GPU_POOL} if configs.GPU_POOL else {},
        tolerations=({"key": configs.GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"},),
        shared_memory="2Gi",
    )


def clip_model(configs: PipelineConfigs) -> str:
    """Return the CLIP model of the seeds: the configured one, or else the index's own."""
    return configs.CLIP_MODEL or known_model(configs.INDEX) or CLIP_MODEL


def curate(pipeline: Pipeline, images: Step, wanted: str, hashes: Sequence[str] = HASHES) -> Step:
    """Add the steps that remove near-duplicates and unwanted images: an expression, or USUAL.

    `hashes` are those that the images lack; downloaded ones have all others. Costly scores are
    computed after deduplication, and only those that the expression names.
    """
    rules = USUAL_RULES if wanted == USUAL else {"wanted": wanted}
    fields = [*USUAL_SCORES] if wanted == USUAL else _fields_of(wanted)
    named = {score: "float32" for score in SCORES if score in fields}
    hashed = pipeline.add(
        COMPONENTS / "score_images",
        after=images,
        produces=dict.fromkeys(hashes, "string") | {"border": "float32"},
    )
    kept = pipeline.add(COMPONENTS / "deduplicate_images", after=hashed)
    if named:
        kept = pipeline.add(COMPONENTS / "score_images", after=kept, produces=named)
    return pipeline.add(
        COMPONENTS / "filter_rows",
        after=kept,
        arguments={"rules": rules},
        consumes={name: name for name in fields if name not in SCORES},
    )


def _fields_of(wanted: str) -> list[str]:
    """Return the fields that an expression names; planning checks that they exist."""
    try:
        from image_toolkit.expressions import named_fields  # noqa: PLC0415 - it needs DuckDB
    except ImportError as error:
        msg = f"CURATE needs DuckDB: `pip install 'fondant-spec[filter_rows]'`. ({error})"
        raise MissingDependencyError(msg) from error
    return [name for name in map(str.lower, named_fields(wanted, "CURATE")) if name != "id"]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line, and run the pipeline or print its plan."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    configs = PipelineConfigs.from_environment()
    parser.add_argument(
        "--base-path", default=configs.BASE_PATH, help="where all lands (default: BASE_PATH)"
    )

    def build_it(options: argparse.Namespace) -> Pipeline:
        return build(replace(configs, BASE_PATH=options.base_path))

    return launch(build_it, parser, argv, settings=asdict(configs))


def _starts(pipeline: Pipeline, configs: PipelineConfigs, gpu: Resources) -> list[Step]:
    """Add the first steps of the pipeline, up to the vectors to search for."""
    starts = []
    if configs.DATASET_NAME:
        seeds = pipeline.add(
            COMPONENTS / "load_from_hub",
            arguments={"dataset_name": configs.DATASET_NAME, "image_column": configs.IMAGE_COLUMN},
        )
        starts.append(_embedding(pipeline, "image_embedding", seeds, configs, gpu))
    if configs.PROMPTS:
        file = None if configs.PROMPTS == INTERIOR_DESIGN else configs.PROMPTS
        prompts = pipeline.add(
            COMPONENTS / "generate_prompts",
            arguments={"prompts": file, "n_rows_to_load": PROMPTS},
        )
        starts.append(_embedding(pipeline, "text_embedding", prompts, configs, gpu))
    if starts and configs.NEGATIVE_PROMPT:
        unwanted = pipeline.add(
            COMPONENTS / "generate_prompts",
            step_id="negative_prompt",
            arguments={"text": configs.NEGATIVE_PROMPT, "mix": "*", "weight": NEGATIVE_WEIGHT},
            produces={"mix": "string", "weight": "float32"},
        )
        starts.append(_embedding(pipeline, "text_embedding", unwanted, configs, gpu))
        starts = [pipeline.add(COMPONENTS / "mix_embeddings", after=starts)]
    if starts and configs.CLASS_PROMPT:
        of_class = pipeline.add(
            COMPONENTS / "generate_prompts",
            step_id="class_prompt",
            arguments={"class_prompt": configs.CLASS_PROMPT},
            produces={"class_prompt": "string"},
        )
        starts.append(_embedding(pipeline, "text_embedding", of_class, configs, gpu))
    if not starts:
        msg = (
            "set DATASET_NAME to seed images or PROMPTS to prompts, and INDEX or INDEX_URL to what "
            "is searched (see pipeline_configs.py).\n`make demo` runs the pipeline on data of its "
            "own, offline."
        )
        raise InvalidConfigError(msg)
    return starts


def _embedding(
    pipeline: Pipeline,
    component: str,
    after: Step,
    configs: PipelineConfigs,
    gpu: Resources,
) -> Step:
    """Add a step that computes CLIP vectors; images and texts share one vector space."""
    arguments = {"model_id": clip_model(configs)}
    return pipeline.add(COMPONENTS / component, after=after, arguments=arguments, resources=gpu)


def _index(configs: PipelineConfigs) -> dict[str, str]:
    if configs.INDEX and configs.INDEX_URL:
        msg = (
            f"both INDEX ({configs.INDEX}) and INDEX_URL ({configs.INDEX_URL}) are set, but one "
            "index is searched; unset the other."
        )
        raise InvalidConfigError(msg)
    model = {"index_model_id": configs.INDEX_MODEL} if configs.INDEX_MODEL else {}
    if configs.INDEX_URL:
        return {"url": configs.INDEX_URL, **model}
    if configs.INDEX:
        return {"index": full_location(configs.INDEX), **model}
    msg = (
        "no index to search: set INDEX to datacomp-small, a public one of 9 million images, to one "
        "of your own (`fondant-spec index build` makes it), or INDEX_URL to a clip-retrieval "
        "service. LAION's own service has been gone since 2023. See docs/indexes.md."
    )
    raise InvalidConfigError(msg)


if __name__ == "__main__":
    sys.exit(main())
