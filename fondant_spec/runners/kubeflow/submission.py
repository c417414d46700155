"""Submitting a plan: a run with all values, a description, and a pipeline version."""

import hashlib
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

from fondant_spec.errors import HostError
from fondant_spec.pipeline.plan import Plan
from fondant_spec.runners.kubeflow.cluster import Cluster
from fondant_spec.runners.kubeflow.host import Host, Submission, inline
from fondant_spec.runners.kubeflow.obstacles import UnansweredError
from fondant_spec.runners.kubeflow.package import documents, task_name
from fondant_spec.shown_text import tell

_LONGEST: Final = 100
"""The most characters of a pipeline's name in that of a version, which the server cuts at 127."""

_SECONDS_A_STEP: Final = 20
"""The start-up time of a step's two pods, measured on a server of version 2.17."""


def submit(
    host: Host,
    plan: Plan,
    package: str,
    cluster: Cluster,
    name: str,
    say: Callable[[str], None] = tell,
) -> str:
    """Start a run of a package, and return its id on the host.

    Args:
        host: where it is to run.
        plan: what the package was made of.
        package: the package.
        cluster: the namespace, experiment and account of the run.
        name: of the run.
        say: called with each line for the user.

    Raises:
        HostError: the host refuses, or cannot be reached.
    """
    description = _description(plan)
    experiment = host.experiment(cluster.experiment or plan.pipeline_name, cluster.namespace)
    try:
        source = host.upload(
            package, plan.pipeline_name, _version(plan, package), description, cluster.namespace
        )
    except HostError as error:
        if error.temporary:
            raise
        say(f"the host does not keep the pipeline, so the run carries it itself: {error}")
        source = inline(package)
    values = _form_values(package)
    submission = Submission(name, experiment, source, values, description, cluster.service_account)
    return _started(host, submission)


def foreseen(plan: Plan, hits: Mapping[str, Any]) -> str:
    """Return a line about a run in which nothing is left to do; empty if something is."""
    if len(hits) < len(plan.steps):
        return ""
    seconds = _SECONDS_A_STEP * len(plan.steps)
    return (
        f"all {len(plan.steps)} steps are done already, {hits[plan.steps[-1].id].rows:,} rows; the "
        f"run finds that out in about {seconds} s, since each step starts its pods"
    )


def show_command(plan: Plan) -> str:
    """Return the command that shows the result of the last step of a plan."""
    last = f"{plan.pipeline_name}/{plan.steps[-1].id}"
    return f"fondant-spec show {last} --base-path {shlex.quote(plan.base_path)}"


def _started(host: Host, submission: Submission) -> str:
    """Start a run; if the response is lost, the host may have started it, so it is not retried."""
    unsure = (
        f"the host may have taken the run {submission.name!r}: look at {host.url}/#/runs before "
        "you submit it again."
    )
    try:
        return host.submit(submission)
    except KeyboardInterrupt:
        msg = f"interrupted; {unsure}"
        raise KeyboardInterrupt(msg) from None
    except UnansweredError as error:
        msg = f"{error} All the same, {unsure}"
        raise UnansweredError(msg, temporary=False) from None


def _form_values(package: str) -> dict[str, Any]:
    """Return the values of all fields of a package's form: the host shows only those of the run."""
    pipeline, _ = documents(package)
    fields: Mapping[str, Any] = (
        pipeline.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    )
    return {n: one["defaultValue"] for n, one in fields.items() if "defaultValue" in one}


def _version(plan: Plan, package: str) -> str:
    """Return a version name, equal for packages that are byte-identical."""
    digest = hashlib.sha256(package.encode()).hexdigest()
    return f"{task_name(plan.pipeline_name)[:_LONGEST]} {digest[:12]}"


def _description(plan: Plan) -> str:
    """Describe what runs and where, for people who find it in the host's lists."""
    steps = " > ".join(planned.id for planned in plan.steps)
    return f"{steps}. The data is at {plan.base_path}; to look at it: {show_command(plan)}"
