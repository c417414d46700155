"""Runs a plan on a Kubeflow Pipelines host: compile, check, submit, follow.

What needs the extra `kubeflow` is imported when it is used.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fondant_spec.pipeline.plan import Plan
from fondant_spec.runners.image_lock import doubts, refuse_other_code
from fondant_spec.runners.kubeflow.cluster import Cluster

if TYPE_CHECKING:
    from fondant_spec.runners.kubeflow.host import Host

__all__ = ["Cluster", "preflight", "run", "write_package"]


def write_package(
    plan: Plan, cluster: Cluster, file: Path, say: Callable[[str], None] = print
) -> None:
    """Compile a plan to a package that any host can be given, and check it.

    `say` is given each line for the user.

    Raises:
        InvalidConfigError: an image was built from other code.
        InvalidPipelineError: the plan cannot run on a cluster.
        MissingDependencyError: the extra `kubeflow` is not installed.
    """
    file.write_text(_package(plan, cluster, say), encoding="utf-8")


def run(
    plan: Plan,
    cluster: Cluster,
    say: Callable[[str], None] = print,
    *,
    name: str = "",
    following: bool = True,
) -> str:
    """Submit a plan to a host and follow the run; return where to look at it.

    Args:
        plan: what to run.
        cluster: where, and with what.
        say: is given each line for the user.
        name: of the run; by default the pipeline's and the run's id.
        following: whether to wait for the end.

    Raises:
        HostError: the host cannot be used; the message says why and what to do.
        InvalidConfigError: an image was built from other code.
        InvalidPipelineError: the plan cannot run on a cluster.
        StepFailedError: the run failed or was cancelled.
        MissingDependencyError: the extra `kubeflow` is not installed.
    """
    from fondant_spec.runners.kubeflow.follow import follow  # noqa: PLC0415

    host, namespace = preflight(cluster)
    package = _package(plan, cluster, say)
    experiment = host.experiment(cluster.experiment or plan.pipeline_name, namespace)
    name = name or f"{plan.pipeline_name} {plan.run_id}"
    run_id = host.submit(package, name, experiment, cluster.service_account)
    say(f"run {name!r}: {host.run_url(run_id)}")
    if following:
        try:
            steps = tuple(planned.id for planned in plan.steps)
            follow(host, run_id, steps, say, interval=cluster.interval)
        except KeyboardInterrupt:
            say(f"no longer following; the run goes on: {host.run_url(run_id)}")
            raise
    return host.run_url(run_id)


def preflight(cluster: Cluster) -> tuple["Host", str]:
    """Make sure that a host answers; return it, and the namespace to run in.

    Raises:
        HostError: the host cannot be used; the message says why and what to do.
        MissingDependencyError: the extra `kubeflow` is not installed.
    """
    from fondant_spec.runners.kubeflow.host import (  # noqa: PLC0415
        Credentials,
        Host,
        namespace_for,
    )

    host = Host(cluster.host, Credentials.from_environment())
    health = host.check()
    return host, namespace_for(cluster.namespace, several_users=health.several_users)


def _package(plan: Plan, cluster: Cluster, say: Callable[[str], None]) -> str:
    from fondant_spec.runners.kubeflow.checker import check_package  # noqa: PLC0415
    from fondant_spec.runners.kubeflow.compiler import compile_plan  # noqa: PLC0415

    refuse_other_code(plan.steps)
    package = compile_plan(plan, cluster)
    check_package(package, plan)
    for line in doubts(plan.steps):
        say(line)
    return package
