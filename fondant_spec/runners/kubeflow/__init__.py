"""Runs a plan on a Kubeflow Pipelines host: compile, check, submit, follow.

What needs the extra `kubeflow` is imported when it is used.
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

from fondant_spec.dataset.base_path import doubts_from_afar
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import Plan
from fondant_spec.pipeline.run_history import StepResult
from fondant_spec.runners.image_lock import doubts, refuse_other_code
from fondant_spec.runners.kubeflow.cluster import Cluster, Credentials
from fondant_spec.runners.kubeflow.plan_check import check_plan, slice_doubts
from fondant_spec.runners.protocol import Runner, Settings
from fondant_spec.shown_text import tell

if TYPE_CHECKING:
    from fondant_spec.runners.kubeflow.host import Host

__all__ = ["Cluster", "Credentials", "KubeflowRunner"]


@dataclass(frozen=True)
class KubeflowRunner(Runner):
    """Submits plans to a host; a `MissingDependencyError` where the extra is not installed.

    Attributes:
        cluster: where, and with what.
        credentials: what to show the host.
        run_name: of the run; by default the pipeline's and the run's id.
        following: whether to wait for the end.
        fan_out: step id to the number of pods that its partitions are spread over.
    """

    cluster: Cluster = field(default_factory=Cluster)
    credentials: Credentials = field(default_factory=Credentials)
    run_name: str = ""
    following: bool = True
    fan_out: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def add_options(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options for a run on a host."""
        group = parser.add_argument_group("on Kubeflow Pipelines")
        group.add_argument(
            "--fan-out",
            action="append",
            default=[],
            metavar="STEP=N",
            help="spread the partitions of a step over N pods; repeatable",
        )
        group.add_argument(
            "--follow",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="show each step's state until the run ends (default), or only submit",
        )
        group.add_argument("--experiment", help="the experiment that the run belongs to")
        group.add_argument("--run-name", default="", help="the run's name")

    @classmethod
    def from_settings(cls, settings: Settings, options: argparse.Namespace) -> Self:
        """Make the runner; see docs/kubeflow.md for the names of the settings."""
        cluster = Cluster.from_settings(settings)
        return cls(
            replace(cluster, experiment=options.experiment or cluster.experiment),
            Credentials.from_settings(settings),
            options.run_name,
            options.follow,
            dict(map(_fan_out, options.fan_out)),
        )

    def check(self) -> None:
        """Make sure that the host answers."""
        _ = self._host

    def adapt(self, pipeline: Pipeline) -> None:
        """Spread the steps that `fan_out` names."""
        for step_id, count in self.fan_out.items():
            pipeline.change(step_id, fan_out=count)

    def check_plan(self, plan: Plan) -> None:
        """Make sure that the cluster sees what a plan names, and reads it as it is meant."""
        check_plan(plan, self.cluster)

    def compile(self, plan: Plan) -> str:
        """Return a package that any host can be given, held against the rules of the server."""
        from fondant_spec.runners.kubeflow.checker import check_package  # noqa: PLC0415
        from fondant_spec.runners.kubeflow.compiler import compile_plan  # noqa: PLC0415

        refuse_other_code(plan.steps)
        package = compile_plan(plan, self.cluster)
        check_package(package, plan)
        return package

    def doubts(self, plan: Plan) -> Iterable[str]:
        """Tell of images that may not be what the nodes of the cluster get, and of many slices."""
        return [*doubts(plan.steps), *slice_doubts(plan)]

    def run(self, plan: Plan, say: Callable[[str], None] = tell) -> list[StepResult]:
        """Submit a plan and follow the run. Its results are on the base path alone: returns []."""
        from fondant_spec.runners.kubeflow.following.follow import follow  # noqa: PLC0415
        from fondant_spec.runners.kubeflow.following.results_seen import ResultsSeen  # noqa: PLC0415
        from fondant_spec.runners.kubeflow.following.submitted_run import SubmittedRun  # noqa: PLC0415
        from fondant_spec.runners.kubeflow.submission import foreseen, submit  # noqa: PLC0415

        host, namespace = self._host
        package = self.compile(plan)
        results = ResultsSeen(plan)
        lines = [
            *self.doubts(plan),
            *doubts_from_afar(plan.base_path),
            foreseen(plan, results.hits()),
        ]
        for line in filter(None, lines):
            say(line)
        name = self.run_name or f"{plan.pipeline_name} {plan.run_id}"
        cluster = replace(self.cluster, namespace=namespace)
        run_id = submit(host, plan, package, cluster, name, say)
        run = SubmittedRun.of(host, run_id, package, cluster, results)
        say(f"run {name!r}: {run.url}")
        if self.following:
            try:
                follow(run, say, interval=self.cluster.interval)
            except KeyboardInterrupt:
                msg = f"no longer following; the run goes on, and can be terminated at {run.url}"
                raise KeyboardInterrupt(msg) from None
        return []

    @cached_property
    def _host(self) -> "tuple[Host, str]":
        """A host that answers, and the namespace to run in."""
        from fondant_spec.runners.kubeflow.host import Host, namespace_for  # noqa: PLC0415

        host = Host(self.cluster.host, self.credentials)
        health = host.check()
        return host, namespace_for(self.cluster.namespace, several_users=health.several_users)


def _fan_out(text: str) -> tuple[str, int]:
    step_id, _, count = text.partition("=")
    if not step_id or not count.isascii() or not count.isdigit() or int(count) < 1:
        msg = f"--fan-out {text}: expected STEP=N, such as caption_images=4."
        raise InvalidArgumentError(msg)
    return step_id, int(count)
