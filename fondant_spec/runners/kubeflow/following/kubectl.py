"""The kubectl commands for what the host does not report."""

from dataclasses import dataclass
from typing import Final

ALONE: Final = "kubeflow"
"""The default namespace of the pods on a host with a single user."""


@dataclass(frozen=True)
class Kubectl:
    """Commands for the pods of a run, each of which has the run's id as a label."""

    namespace: str
    run_id: str

    def log(self, node_id: str) -> str:
        """Return the command for a pod's log; pod names end with the number of the node id."""
        number = node_id.rpartition("-")[2]
        pods = f"{self._run} get pods -o name"
        return f"{pods} | grep -e '-{number}$' | xargs {self._run} logs -c main"

    def pending(self) -> str:
        """Return the command that shows why pods are pending; the scheduler's reason comes last."""
        return f"{self._pods('Pending')} | xargs {self._run} describe"

    def failed(self) -> str:
        """Return the command for the end of the logs of the failed pods."""
        return f"{self._pods('Failed')} | xargs -n 1 {self._run} logs -c main --tail 20"

    def workflow(self) -> str:
        """Return the command for the end of Argo's description of the workflow."""
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
