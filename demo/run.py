"""Run the pipeline on the demo's data, offline: `python -m demo.run [options of pipeline.py]`.

The demo's files are made first if they are missing, and its images are served on loopback during
the run. PROMPTS=demo/prompts.yaml starts from prompts instead of images; CLIP_MODEL and
CAPTION_MODEL replace the demo's tiny models. CLIP_MODEL must be a local folder, since the index is
made with it. The demo runs on this machine, whatever HOST is, unless `--runner` says otherwise.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from demo import BLIP_FOLDER, CLIP_FOLDER
from demo.prepare import DemoFiles, prepare
from fondant_spec.errors import InvalidConfigError
from fondant_spec.pipeline import Pipeline, Resources
from fondant_spec.runners.command_line import launch
from pipeline import build
from pipeline_configs import PipelineConfigs

ARGUMENTS: Final = {
    # All images are on one host, which is our own: it has a private address and its own port, and
    # needs no rate limit.
    "download_images.allow_private_hosts": "true",
    "download_images.allowed_ports": "[]",
    "download_images.connections_per_host": "64",
    "download_images.requests_per_second_per_host": "0",
    "download_images.failures_per_host": "1000",
    # To a CLIP this small, many images of one subject look the same.
    "laion_retrieval.duplicate_threshold": "0.995",
}


def configure(environment: Mapping[str, str] = os.environ) -> PipelineConfigs:
    """Return the settings from the environment, completed by those of the demo.

    Raises:
        InvalidConfigError: the environment sets seed images or an index, which the demo has itself.
    """
    for name in ("DATASET_NAME", "INDEX", "INDEX_URL"):
        if environment.get(name):
            msg = (
                f"{name} is set, but the demo has seed images and an index of its own; unset it, "
                "or run pipeline.py."
            )
            raise InvalidConfigError(msg)
    models = {"CLIP_MODEL": str(CLIP_FOLDER), "CAPTION_MODEL": str(BLIP_FOLDER)}
    configs = PipelineConfigs.from_environment({**models, **environment})
    files = DemoFiles()
    seeds = "" if configs.PROMPTS else str(files.seeds)
    return replace(configs, DATASET_NAME=seeds, INDEX=str(files.index))


def prepared(configs: PipelineConfigs) -> PipelineConfigs:
    """Make the files that the settings name, if they are missing.

    Raises:
        InvalidConfigError: CLIP_MODEL is not a local model, so the index cannot be made with it.
    """
    clip = Path(configs.CLIP_MODEL).expanduser()
    if not (clip / "model.safetensors").is_file():
        msg = (
            f"CLIP_MODEL is {configs.CLIP_MODEL!r}, but the demo's index is made with it, so it "
            "must be a local folder with its model.safetensors; unset it for the demo's own."
        )
        raise InvalidConfigError(msg)
    prepare(clip=clip)
    return configs


def adapt(pipeline: Pipeline) -> Pipeline:
    """Set the arguments in which the demo differs from a run on the web."""
    files = DemoFiles()
    pipeline.expect(files.seeds, files.index)
    for name, word in ARGUMENTS.items():
        step_id, argument = name.split(".")
        pipeline.override(step_id, argument, word)
    pipeline.change("download_images", resources=Resources(host_network=True))
    return pipeline


def served() -> AbstractContextManager[str]:
    """Serve the images on loopback while a `with` statement lasts; see `host.serving`."""
    from demo.host import serving  # noqa: PLC0415 - not wanted where nothing has to run

    return serving()


def command_line(
    program: str, about: str | None, settings: PipelineConfigs
) -> argparse.ArgumentParser:
    """Return the options of a demo program, which runs on this machine."""
    parser = argparse.ArgumentParser(
        prog=program, description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(runner="local")
    parser.add_argument(
        "--base-path", default=settings.BASE_PATH, help="where all lands (default: BASE_PATH)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line, and run the pipeline on the demo or show its plan."""
    settings = PipelineConfigs.from_environment()
    parser = command_line("python -m demo.run", __doc__, settings)

    def build_it(options: argparse.Namespace) -> Pipeline:
        configs = replace(configure(), BASE_PATH=options.base_path)
        return adapt(build(configs if options.dry_run else prepared(configs)))

    return launch(build_it, parser, argv, during=served, settings=asdict(settings))


if __name__ == "__main__":  # the worker processes that make the collection import this module too
    sys.exit(main())
