"""A submitted run, and everything that this side knows about it."""

from dataclasses import dataclass, replace
from typing import Self

from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.runners.kubeflow.cluster import Cluster
from fondant_spec.runners.kubeflow.following.kubectl import Kubectl
from fondant_spec.runners.kubeflow.following.pod_log import PodLog
from fondant_spec.runners.kubeflow.following.pod_requests import PodRequests
from fondant_spec.runners.kubeflow.following.results_seen import ResultsSeen
from fondant_spec.runners.kubeflow.following.run_state import PENDING, RUNNING, Pod, RunState
from fondant_spec.runners.kubeflow.host import Host
from fondant_spec.runners.kubeflow.package import task_name


@dataclass(frozen=True)
class SubmittedRun:
    """A run on a host.

    Attributes:
        host: where it runs.
        id: its id on the host.
        plan: what was submitted.
        requests: the resource requests of its pods.
        results: what is visible of its base path.
        kubectl: the commands that show more.
        volume: the claim that the base path is on; empty for a store.
    """

    host: Host
    id: str
    plan: Plan
    requests: PodRequests
    results: ResultsSeen
    kubectl: Kubectl
    volume: str = ""

    @classmethod
    def of(
        cls, host: Host, run_id: str, package: str, cluster: Cluster, results: ResultsSeen
    ) -> Self:
        """Return a run that was just submitted.

        Args:
            host: where it runs.
            run_id: its id on the host.
            package: what was submitted.
            cluster: has the namespace that it runs in.
            results: what is visible of its plan's results.
        """
        return cls(
            host=host,
            id=run_id,
            plan=results.plan,
            requests=PodRequests.of(package),
            results=replace(results, run_id=run_id),
            kubectl=Kubectl(cluster.namespace, run_id),
            volume=cluster.volume,
        )

    @property
    def url(self) -> str:
        """The URL of its page on the host."""
        return self.host.run_url(self.id)

    def look(self) -> RunState:
        """Return its current state.

        Raises:
            HostError: the host refuses, or cannot be reached.
        """
        return RunState.of(self.host.run(self.id))

    def log(self, pod: Pod) -> PodLog:
        """Return the log of a pod; empty if it has printed nothing yet or is gone.

        Raises:
            HostError: the host refuses, or cannot be reached.
        """
        return PodLog.of(self.host.log(self.id, pod.node_id))

    def step_of(self, pod: Pod) -> PlannedStep | None:
        """Return the step that a pod belongs to; None for a pod of the whole run."""
        steps = (planned for planned in self.plan.steps if task_name(planned.id) == pod.step)
        return next(steps, None)

    def pods_of(self, now: RunState, planned: PlannedStep) -> list[Pod]:
        """Return the pods of a step by slice, without Kubeflow's drivers."""
        name = task_name(planned.id)
        pods = [pod for pod in now.pods if pod.step == name and not pod.driver]
        return sorted(pods, key=lambda pod: pod.slice or 0)

    def step_state(self, now: RunState, planned: PlannedStep) -> str:
        """Return the state of a step; PENDING as long as none of its pods has started.

        The host reports RUNNING from the moment that it requests a pod.
        """
        state = now.step(task_name(planned.id))
        if state != RUNNING or not now.pods:
            return state
        pods = self.pods_of(now, planned)
        return PENDING if all(pod.state == PENDING for pod in pods) else RUNNING
