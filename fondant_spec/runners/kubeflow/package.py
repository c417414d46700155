"""What is known of a package without Kubeflow's own software."""

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from fondant_spec.errors import InvalidPipelineError

_DASHES: Final = re.compile("[-_]+")

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Reads a package ten times as fast, where PyYAML was built with it."""


def task_name(step_id: str) -> str:
    """Return what Kubeflow makes of a step's id, or of a pipeline's name."""
    return _DASHES.sub("-", step_id).strip("-")


def slices_name(step_id: str) -> str:
    """Return the name of the component that computes the slices of a step that is spread."""
    return f"{task_name(step_id)}-slices"


def commit_name(step_id: str) -> str:
    """Return the name of the component that commits what the slices of a step have computed."""
    return f"{task_name(step_id)}-commit"


def package_text(pipeline: Mapping[str, Any], platform: Mapping[str, Any]) -> str:
    """Return a package of its two documents, of which the second may be empty.

    The SDK's own writer repeats the form in comments, in which a line break of a value ends the
    comment.
    """
    return yaml.safe_dump_all([dict(one) for one in (pipeline, platform) if one], sort_keys=True)


def documents(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the two documents of a package: the pipeline, and its Kubernetes side or {}.

    Raises:
        InvalidPipelineError: they are not one pipeline and at most one platform.
    """
    try:
        found = [document for document in yaml.load_all(text, _Loader) if document]
    except yaml.YAMLError as error:
        msg = f"not valid YAML: {error}"
        raise InvalidPipelineError(msg) from None
    pipelines = [d for d in found if isinstance(d, dict) and "pipelineInfo" in d]
    platforms = [d for d in found if isinstance(d, dict) and "platforms" in d]
    others = len(found) - len(pipelines) - len(platforms)
    if len(pipelines) != 1 or len(platforms) > 1 or others:
        msg = (
            "a package has one document with the pipeline and at most one with the platform; "
            f"found {len(pipelines)}, {len(platforms)} and {others} others"
        )
        raise InvalidPipelineError(msg)
    return pipelines[0], platforms[0] if platforms else {}
