"""What is refused of a plan before it is compiled: what would be another thing on the cluster."""

from collections.abc import Iterator
from os.path import normpath
from pathlib import Path
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.errors import InvalidPipelineError
from fondant_spec.pipeline.missing_paths import is_path
from fondant_spec.pipeline.plan import Plan
from fondant_spec.runners.kubeflow.cluster import Cluster
from fondant_spec.runners.kubeflow.package import commit_name, slices_name, task_name
from fondant_spec.spec.argument_texts import texts_in
from fondant_spec.spec.secret_arguments import file_of, variable_of

_PLACEHOLDERS: Final = {"{{": "Argo", "$(": "Kubernetes", "$$": "Kubernetes"}
"""Where something else may be put in its place, and by whom.

A step gets its values in a word of its pod's command, in which `$(NAME)` is a variable of the pod,
and `$$` one `$` (kubeflow/pipelines#10370).
"""

LISTED_SLICES: Final = 25
"""Slices of a run up to which its workflow stays below 1 MB, of which a slice takes some 27 KB.

Argo compresses a larger one, and the host of version 2.17 then lists no more of its tasks."""

MOST_SLICES: Final = 500
"""Slices of a run beyond which its workflow may outgrow the 1.5 MB, compressed, of any object."""


def check_plan(plan: Plan, cluster: Cluster) -> None:
    """Refuse what the cluster cannot see, or would read as something else.

    Raises:
        InvalidPipelineError: naming the step and the argument.
    """
    _check_names(plan)
    if _slices(plan) > MOST_SLICES:
        msg = (
            f"{_slices(plan)} slices are more than one run of Kubeflow can hold; {MOST_SLICES} at "
            "most. Give each more workers (`--set STEP.@cpu=8`) instead."
        )
        raise InvalidPipelineError(msg)
    _check_text(plan.base_path, f"BASE_PATH {plan.base_path!r}")
    for name, value in cluster.variables.items():
        _check_text(value, f"KUBEFLOW_ENV: {name}")
    for planned in plan.steps:
        for name, value in planned.arguments.items():
            for text in texts_in(value):
                _check_text(text, f"{planned.id}: {name}")
    _check_paths(plan, cluster)
    _check_references(plan, cluster)


def slice_doubts(plan: Plan) -> Iterator[str]:
    """Yield a line for a person if a run has more slices than the host can show."""
    if _slices(plan) > LISTED_SLICES:
        yield (
            f"{_slices(plan)} slices: beyond about {LISTED_SLICES} the host stops listing the "
            "run's steps while it goes on; what is finished is on the base path"
        )


def _check_names(plan: Plan) -> None:
    """Refuse steps whose pods would be taken for each other's."""
    taken: dict[str, str] = {}
    for planned in plan.steps:
        names = [task_name(planned.id)]
        if planned.step.fan_out > 1:
            names += [slices_name(planned.id), commit_name(planned.id)]
        for name in names:
            if name in taken:
                msg = (
                    f"the steps {taken[name]!r} and {planned.id!r} would both have a {name!r} on "
                    "Kubeflow, which takes `_` for `-`, and one for several; give one of them "
                    "another step_id."
                )
                raise InvalidPipelineError(msg)
            taken[name] = planned.id


def _slices(plan: Plan) -> int:
    return sum(one.step.fan_out for one in plan.steps if one.step.fan_out > 1)


def _check_text(text: str, where: str) -> None:
    for sign, whose in _PLACEHOLDERS.items():
        if sign in text:
            msg = (
                f"{where} holds {sign!r}, in place of which {whose} may put something else; put "
                "it differently, or in a file that the step reads."
            )
            raise InvalidPipelineError(msg)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        msg = f"{where} holds {text[error.start]!r}, half a character that no text can hold."
        raise InvalidPipelineError(msg) from None


def _check_paths(plan: Plan, cluster: Cluster) -> None:
    """Refuse paths of this machine, which mean nothing to the cluster."""
    if not (storage.is_remote(plan.base_path) or _mounted(plan.base_path, cluster)):
        msg = (
            f"BASE_PATH {plan.base_path} is a folder of this machine, which the cluster cannot "
            "see; name an object store (s3://, gs://), or a folder of a volume that "
            "KUBEFLOW_VOLUME=CLAIM:/PATH names."
        )
        raise InvalidPipelineError(msg)
    for planned in plan.steps:
        for name, value in planned.arguments.items():
            argument = planned.spec.arguments[name]
            if not isinstance(value, str):
                continue
            here = argument.output or (argument.path and is_path(value))
            if here and not (storage.is_remote(value) or _mounted(value, cluster)):
                msg = (
                    f"{planned.id}: {name} is {value}, a path of this machine, which the cluster "
                    "cannot see; name a model or dataset of the hub, or a path in the volume."
                )
                raise InvalidPipelineError(msg)


def _check_references(plan: Plan, cluster: Cluster) -> None:
    """Refuse arguments that name a secret which the pods do not get."""
    for planned in plan.steps:
        for name, value in planned.arguments.items():
            if not planned.spec.arguments[name].by_reference:
                continue
            variable, file = variable_of(value), file_of(value)
            if variable is not None and variable not in cluster.secrets:
                msg = (
                    f"{planned.id}: {name} is {value}, but the pods have no such variable; add "
                    f"{variable}=SECRET/KEY to KUBEFLOW_SECRETS."
                )
                raise InvalidPipelineError(msg)
            if file is not None and not _mounted(file, cluster):
                msg = (
                    f"{planned.id}: {name} is {value}, a file of this machine, which the pods "
                    "cannot see; name a variable instead, as env:NAME."
                )
                raise InvalidPipelineError(msg)


def _mounted(path: str, cluster: Cluster) -> bool:
    """Return whether a path is one of the volume, without a `..` that leads out of it."""
    if not cluster.volume or not path.startswith(("/", "file://")):
        return False
    return Path(normpath(storage.normalize(path))).is_relative_to(cluster.volume_path)
