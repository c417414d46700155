"""What makes the whole pipeline run offline: photographs, a collection, tiny models, a host."""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from fondant_spec.pipeline import Pipeline, Resources
from pipeline_configs import PipelineConfigs

ARGUMENTS: Final = {
    # All images are on one host, which is our own: private, on a port of its own, and not to be
    # spared.
    "download_images.allow_private_hosts": "true",
    "download_images.allowed_ports": "[]",
    "download_images.connections_per_host": "64",
    "download_images.requests_per_second_per_host": "0",
    "download_images.failures_per_host": "1000",
    # In the eyes of a CLIP this small, many pictures of one subject look the same.
    "laion_retrieval.duplicate_threshold": "0.995",
}


def configure(configs: PipelineConfigs) -> PipelineConfigs:
    """Return the settings that point the pipeline at the demo, whose files are made if missing."""
    from demo.prepare import prepare  # noqa: PLC0415 - torch loads only when the demo runs
    from demo.tiny_models import BLIP_FOLDER, CLIP_FOLDER  # noqa: PLC0415

    files = prepare()
    return replace(
        configs,
        DATASET_NAME="" if configs.PROMPTS else str(files.seeds),
        CLIP_MODEL=str(CLIP_FOLDER),
        INDEX=str(files.index),
        CAPTION_MODEL=str(BLIP_FOLDER),
    )


def adapt(pipeline: Pipeline) -> Pipeline:
    """Set the arguments in which the demo differs from a run on the web."""
    for name, word in ARGUMENTS.items():
        step_id, argument = name.split(".")
        pipeline.override(step_id, argument, word)
    pipeline.change("download_images", resources=Resources(host_network=True))
    return pipeline


def serving() -> AbstractContextManager[object]:
    """Serve the demo's images on loopback while the pipeline runs."""
    from demo import host  # noqa: PLC0415

    return host.serving()
