"""A step: one use of a component, and what it wants of the machine it runs on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fondant_spec.pipeline.quantities import quantity
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.executor_options import check_step_options


@dataclass(frozen=True)
class Resources:
    """What a step wants of the machine it runs on; runners that cannot give it say so.

    Quantities are those of Kubernetes (`cpu="2"`, `memory="8Gi"`, `shared_memory="2Gi"`).
    `accelerator` is the resource name of a device, such as `nvidia.com/gpu`. With `host_network`, a
    container on this machine reaches servers on it. `timeout` is in seconds.
    """

    cpu: str | None = None
    memory: str | None = None
    shared_memory: str | None = None
    accelerator: str | None = None
    accelerators: int = 1
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, str], ...] = ()
    host_network: bool = False
    retries: int = 2
    timeout: int | None = None

    def __post_init__(self) -> None:
        """Refuse quantities that no runner could read."""
        for value in (self.cpu, self.memory, self.shared_memory):
            if value is not None:
                quantity(value)


@dataclass(frozen=True)
class Step:
    """One use of a component. Its `id` is unique in the pipeline.

    `arguments` are those given; the defaults are filled in by the plan. Options left at None are
    the executor's own. A runner that has more than one machine spreads the partitions over
    `fan_out` of them. `retry` holds the reasons of failed rows that are tried once more, or `all`.
    """

    id: str
    spec: ComponentSpec
    arguments: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    consumes: Mapping[str, str] = field(default_factory=dict)
    produces: Mapping[str, Any] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    max_reject_share: float | None = None
    rows_per_partition: int | None = None
    workers: int | None = None
    cache: bool = True
    retry: tuple[str, ...] = ()
    fan_out: int = 1

    @property
    def takes_committed(self) -> bool:
        """Whether a committed result is taken as it is."""
        return self.cache and not self.retry

    def __post_init__(self) -> None:
        """Refuse numbers that the executor would refuse."""
        check_step_options(vars(self), self.id)
