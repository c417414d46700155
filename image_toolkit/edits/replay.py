"""The pipeline step that applies people's corrections."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fondant_spec.errors import StorageError
from image_toolkit.edits.journal import edits_folder, edits_version

StepT = TypeVar("StepT")

logger = logging.getLogger(__name__)


class Steps(Protocol[StepT]):
    """The part of `Pipeline` that is used here; the toolkit cannot import that package."""

    base_path: str

    def add(self, component: str | Path, *, after: StepT, arguments: Mapping[str, Any]) -> StepT:
        """Add a step and return it."""


def with_edits(pipeline: Steps[StepT], step: StepT, component: str | Path) -> StepT:
    """Add the step that applies the edits below the base path, if there are any, and return it.

    Args:
        pipeline: the pipeline to add it to.
        step: the step before it: the last one before the export.
        component: the folder of `apply_edits`.

    Returns:
        The new step, or `step` if there are no edits.
    """
    folder = edits_folder(pipeline.base_path)
    try:
        version = edits_version(folder)
    except StorageError as error:  # such as when a laptop submits what only a cluster can open
        logger.warning("no edits are replayed, since their folder cannot be listed: %s", error)
        return step
    if not version:
        return step
    arguments = {"edits": folder, "version": version}
    return pipeline.add(component, after=step, arguments=arguments)
