"""A Kubeflow Pipelines host, and what the steps need of its cluster beside their own resources."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from fondant_spec.errors import InvalidConfigError

PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")

_SECRET: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([a-z0-9.-]+)/([A-Za-z0-9._-]+)")
_VOLUME: Final = re.compile(r"([a-z0-9][a-z0-9.-]*)(?::(/.+))?")


@dataclass(frozen=True)
class Cluster:
    """Where a pipeline is submitted to, and what each of its steps is given there.

    Attributes:
        host: URL of Kubeflow Pipelines.
        namespace: the profile to run in, on a host with several users.
        experiment: the experiment that runs belong to; by default named like the pipeline.
        volume: name of the persistent volume claim that holds the base path; empty for an object
            store.
        volume_path: where that volume is mounted.
        secrets: environment variable to (secret, key) in the cluster.
        pull_policy: when nodes pull images: Always, IfNotPresent or Never.
        pull_secrets: names of the secrets that open the registry.
        service_account: that the steps run as; empty for the host's own choice.
        interval: seconds between two looks at a run.
    """

    host: str = ""
    namespace: str = ""
    experiment: str = ""
    volume: str = ""
    volume_path: str = "/data"
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    service_account: str = ""
    interval: float = 5.0

    @classmethod
    def from_environment(cls, host: str, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the cluster that the environment describes; see docs/kubeflow.md for the names.

        Raises:
            InvalidConfigError: a variable is malformed.
        """
        told = {
            name: environment[f"KUBEFLOW_{name.upper()}"]
            for name in ("namespace", "experiment", "service_account", "pull_policy")
            if f"KUBEFLOW_{name.upper()}" in environment
        }
        if told.get("pull_policy", PULL_POLICIES[0]) not in PULL_POLICIES:
            msg = f"KUBEFLOW_PULL_POLICY must be one of {', '.join(PULL_POLICIES)}."
            raise InvalidConfigError(msg)
        try:
            interval = float(environment.get("KUBEFLOW_INTERVAL", cls.interval))
        except ValueError as error:
            msg = f"KUBEFLOW_INTERVAL must be a number of seconds ({error})."
            raise InvalidConfigError(msg) from None
        volume, path = _volume(environment.get("KUBEFLOW_VOLUME", ""))
        return cls(
            host=host,
            volume=volume,
            volume_path=path or cls.volume_path,
            secrets=_secrets(environment.get("KUBEFLOW_SECRETS", "")),
            pull_secrets=tuple(_words(environment.get("KUBEFLOW_PULL_SECRETS", ""))),
            interval=interval,
            **told,
        )


def _volume(text: str) -> tuple[str, str | None]:
    if not text:
        return "", None
    match = _VOLUME.fullmatch(text)
    if match is None:
        msg = f"KUBEFLOW_VOLUME must be CLAIM or CLAIM:/MOUNT/PATH, such as sd-data:/data: {text!r}"
        raise InvalidConfigError(msg)
    return match[1], match[2]


def _secrets(text: str) -> dict[str, tuple[str, str]]:
    secrets = {}
    for word in _words(text):
        match = _SECRET.fullmatch(word)
        if match is None:
            msg = (
                "KUBEFLOW_SECRETS must be VARIABLE=SECRET/KEY, separated by commas, such as "
                f"HF_TOKEN=hugging-face/token; this is not: {word!r}"
            )
            raise InvalidConfigError(msg)
        secrets[match[1]] = (match[2], match[3])
    return secrets


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
