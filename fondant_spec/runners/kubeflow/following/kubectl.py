"""The commands that show on the cluster what the host does not tell."""

from dataclasses import dataclass
from typing import Final

ALONE: Final = "kubeflow"
"""The namespace that a host with one user runs its pods in, unless it was installed elsewhere."""


@dataclass(frozen=True)
class Kubectl:
    """Commands on the pods of a run; every pod carries the run's id as a label."""

    namespace: str
    run_id: str

    def log(self, node_id: str) -> str:
        """Show the log of a pod; its name ends with the number in the node's id, on any host."""
        number = node_id.rpartition("-")[2]
        pods = f"{self._run} get pods -o name"
        return f"{pods} | grep -e '-{number}$' | xargs {self._run} logs -c main"

    def pending(self) -> str:
        """Show what pods that have not started wait for; the scheduler's reason stands last."""
        return f"{self._pods('Pending')} | xargs {self._run} describe"

    def failed(self) -> str:
        """Show the end of the logs of the pods that failed."""
        return f"{self._pods('Failed')} | xargs -n 1 {self._run} logs -c main --tail 20"

    def workflow(self) -> str:
        """Show the end of the workflow, in Argo's words."""
        return f"{self._run} get workflow {self._of_run} -o jsonpath='{{.items[*].status.message}}'"

    def _pods(self, phase: str) -> str:
        of_run = f"{self._of_run} --field-selector status.phase={phase}"
        return f"{self._run} get pods -o name {of_run}"

    @property
    def _run(self) -> str:
        return f"kubectl -n {self.namespace or ALONE}"

    @property
    def _of_run(self) -> str:
        return f"-l pipeline/runid={self.run_id}"
