"""The step of a pipeline that replays what people corrected."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fondant_spec.errors import StorageError
from image_toolkit.edits.journal import edits_folder, edits_version

StepT = TypeVar("StepT")

logger = logging.getLogger(__name__)


class Steps(Protocol[StepT]):
    """What is asked of a `Pipeline` here; the tools do not know the side that describes them."""

    base_path: str

    def add(self, component: str | Path, *, after: StepT, arguments: Mapping[str, Any]) -> StepT:
        """Add a step and return it."""


def with_edits(pipeline: Steps[StepT], step: StepT, component: str | Path) -> StepT:
    """Add the step that replays the edits below the base path, if there are any, and return it.

    Args:
        pipeline: what the step is added to.
        step: what it comes after: the last step before the export.
        component: the folder of `apply_edits`.

    Returns:
        The new step, or `step` where nobody has edited anything.
    """
    folder = edits_folder(pipeline.base_path)
    try:
        version = edits_version(folder)
    except StorageError as error:  # as where a laptop submits what only a cluster can open
        logger.warning("no edits are replayed, since their folder cannot be listed: %s", error)
        return step
    if not version:
        return step
    arguments = {"edits": folder, "version": version}
    return pipeline.add(component, after=step, arguments=arguments)
