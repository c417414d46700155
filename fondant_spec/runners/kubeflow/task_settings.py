"""What a task of a package is given beside its arguments: resources, node, volume, variables.

What the SDK cannot say, a package cannot have: a priority class, for one.
"""

import math
from typing import Any, Final

from kfp import kubernetes

from fondant_spec.cpu import core_variables
from fondant_spec.pipeline.plan import PlannedStep
from fondant_spec.runners.kubeflow.cluster import Cluster
from fondant_spec.spec.quantities import quantity
from fondant_spec.spec.resources import Resources

_QUIET: Final = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
}
"""Progress bars of libraries fill a pod's log; each redraw is a line."""


_LONGEST_PAUSE: Final = 300
"""Seconds between two tries, unless the first pause is longer."""


def configure(task: Any, planned: PlannedStep, cluster: Cluster, *, computes: bool) -> None:
    """Give a task what it wants of the cluster; one that only commits wants no device."""
    task.set_display_name(planned.id)
    task.set_caching_options(False)
    wanted = planned.step.needs
    if wanted.retries:
        # Of pods that were lost; after a failure that may pass, the step itself tries again.
        pause = max(1, round(wanted.backoff))
        task.set_retry(
            num_retries=wanted.retries,
            backoff_duration=f"{pause}s",
            backoff_max_duration=f"{max(_LONGEST_PAUSE, pause)}s",
        )
    if wanted.timeout:
        kubernetes.set_timeout(task, wanted.timeout)
    _set_quantities(task, wanted)
    if computes:
        _set_device(task, wanted)
    _set_pod(task, cluster)
    for name, value in _variables(wanted, cluster).items():
        task.set_env_variable(name, value)


def _set_quantities(task: Any, wanted: Resources) -> None:
    for value, set_value in (
        (wanted.cpu, task.set_cpu_request),
        (wanted.cpu_limit, task.set_cpu_limit),
        (wanted.memory, task.set_memory_request),
        (wanted.memory_limit, task.set_memory_limit),
    ):
        if value:
            set_value(value)


def _set_device(task: Any, wanted: Resources) -> None:
    if wanted.accelerator:
        task.set_accelerator_type(wanted.accelerator).set_accelerator_limit(wanted.accelerators)
    for label, value in wanted.node_selector.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in wanted.tolerations:
        kubernetes.add_toleration(task, **toleration)
    if wanted.shared_memory:
        kubernetes.empty_dir_mount(
            task,
            volume_name="shared-memory",
            mount_path="/dev/shm",  # noqa: S108 - shared memory itself
            medium="Memory",
            size_limit=wanted.shared_memory,
        )


def _set_pod(task: Any, cluster: Cluster) -> None:
    # The level `restricted` of pod security asks for it. A uid only where one is given: the images
    # have one, and OpenShift gives its own.
    kubernetes.set_security_context(task, run_as_user=cluster.run_as_user, run_as_non_root=True)
    kubernetes.set_image_pull_policy(task, cluster.pull_policy)
    if cluster.pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(cluster.pull_secrets))
    if cluster.volume:
        kubernetes.mount_pvc(task, pvc_name=cluster.volume, mount_path=cluster.volume_path)
    for variable, (secret, key) in cluster.secrets.items():
        kubernetes.use_secret_as_env(task, secret_name=secret, secret_key_to_env={key: variable})
    for label, value in cluster.labels.items():
        kubernetes.add_pod_label(task, label, value)


def _variables(wanted: Resources, cluster: Cluster) -> dict[str, str]:
    variables = dict(_QUIET)
    if wanted.cpu:
        # And so how many workers and threads there are. A request is no limit that a container
        # could see: on a node of 64 cores there would be 64.
        variables |= core_variables(max(1, math.ceil(quantity(wanted.cpu))))
    if cluster.volume:
        # Models that one step fetched are there for the next, and for the next run.
        variables["HF_HOME"] = f"{cluster.volume_path}/.cache/huggingface"
    return variables | dict(cluster.variables)
