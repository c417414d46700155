"""What makes the whole pipeline run offline: photographs, a collection, tiny models, a host."""

from contextlib import AbstractContextManager
from dataclasses import replace

from pipeline_configs import PipelineConfigs


def demo_configs(configs: PipelineConfigs) -> PipelineConfigs:
    """Return the settings that point the pipeline at the demo, whose files are made if missing."""
    from demo.prepare import prepare  # noqa: PLC0415 - torch loads only when the demo runs
    from demo.tiny_models import BLIP_FOLDER, CLIP_FOLDER  # noqa: PLC0415

    files = prepare()
    return replace(
        configs,
        DATASET_NAME=str(files.seeds),
        CLIP_MODEL=str(CLIP_FOLDER),
        INDEX=str(files.index),
        CAPTION_MODEL=str(BLIP_FOLDER),
        OWN_MIRROR="true",
    )


def serving() -> AbstractContextManager[object]:
    """Serve the demo's images on loopback while the pipeline runs."""
    from demo import host  # noqa: PLC0415

    return host.serving()
