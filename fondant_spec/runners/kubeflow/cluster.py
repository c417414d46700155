"""A Kubeflow Pipelines host, and what the steps need of its cluster beside their own resources."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote

from fondant_spec.errors import HostError, InvalidConfigError
from fondant_spec.runners.container_view import OF_THE_IMAGE
from fondant_spec.runners.kubeflow.pod_settings import read_labels, read_variables
from fondant_spec.shown_text import HIDDEN
from fondant_spec.signing import authorization

PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
MAX_INTERVAL: Final = 3600
TOKEN_FILE: Final = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - where it lies

_SECRET: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([a-z0-9.-]+)/([A-Za-z0-9._-]+)")
_VOLUME: Final = re.compile(r"([a-z0-9][a-z0-9.-]*)(?::(/[^:]*))?")


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
        variables: environment variable to its value, which stands in the package.
        labels: of every pod, such as those that name who pays for it.
        run_as_user: uid of the steps; None for the image's own, or the cluster's choice.
        pull_policy: when nodes pull images: Always, IfNotPresent or Never.
        pull_secrets: names of the secrets that open the registry.
        service_account: that the steps run as; empty for the host's own choice.
        interval: seconds between two looks at a run.
    """

    host: str = field(default="", repr=False)
    namespace: str = ""
    experiment: str = ""
    volume: str = ""
    volume_path: str = "/data"
    secrets: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    run_as_user: int | None = None
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    service_account: str = ""
    interval: float = 5.0

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> Self:
        """Return the cluster that HOST and KUBEFLOW_* describe; see docs/kubeflow.md.

        Raises:
            InvalidConfigError: one of them is malformed.
        """
        volume, path = _volume(settings.get("KUBEFLOW_VOLUME", ""))
        secrets = _secrets(settings.get("KUBEFLOW_SECRETS", ""))
        return cls(
            host=settings.get("HOST", ""),
            namespace=settings.get("KUBEFLOW_NAMESPACE", ""),
            experiment=settings.get("KUBEFLOW_EXPERIMENT", ""),
            volume=volume,
            volume_path=path or cls.volume_path,
            secrets=secrets,
            variables=read_variables(settings.get("KUBEFLOW_ENV", ""), secrets),
            labels=read_labels(settings.get("KUBEFLOW_LABELS", "")),
            run_as_user=_user(settings.get("KUBEFLOW_RUN_AS_USER", "")),
            pull_policy=_pull_policy(settings.get("KUBEFLOW_PULL_POLICY") or cls.pull_policy),
            pull_secrets=tuple(_words(settings.get("KUBEFLOW_PULL_SECRETS", ""))),
            service_account=settings.get("KUBEFLOW_SERVICE_ACCOUNT", ""),
            interval=_interval(settings.get("KUBEFLOW_INTERVAL") or str(cls.interval)),
        )


@dataclass(frozen=True)
class Credentials:
    """What a caller shows a host; not part of any text.

    Of several the first is shown: the cookie of a login, a token, that of a file, `user:password`.
    """

    token: str = field(default="", repr=False)
    token_file: str = ""
    cookie: str = field(default="", repr=False)
    user: str = field(default="", repr=False)

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> Self:
        """Return the credentials that KUBEFLOW_* name, or those of the pod that this runs in."""
        own = settings.get("KUBEFLOW_TOKEN_FILE", "")
        return cls(
            token=settings.get("KUBEFLOW_TOKEN", ""),
            token_file=own or (TOKEN_FILE if Path(TOKEN_FILE).is_file() else ""),
            cookie=settings.get("KUBEFLOW_COOKIE", ""),
        )

    def headers(self) -> dict[str, str]:
        """Return the headers; a token file is read each time, since its content is renewed.

        Raises:
            HostError: the token file cannot be read, or what a header would hold is no such text.
        """
        if self.cookie:
            return {"Cookie": _word(self.cookie, "KUBEFLOW_COOKIE")}
        if self.token:
            return {"Authorization": f"Bearer {_word(self.token, 'KUBEFLOW_TOKEN')}"}
        if self.token_file:
            return {"Authorization": f"Bearer {_token_in(self.token_file)}"}
        return authorization(unquote(self.user))


def _token_in(file: str) -> str:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        msg = f"cannot read the token file {file} ({reason})."
        raise HostError(msg) from None
    return _word(text, f"the token file {file}")


def _word(text: str, where: str) -> str:
    """Return what a header can hold, without the ends of lines that come along with it."""
    text = text.strip()
    if not text or not text.isascii() or not text.isprintable():
        what = "is empty" if not text else "holds a character that none can have"
        msg = f"{where} {what}; copy the token or cookie again, as it is."
        raise HostError(msg)
    return text


def _pull_policy(text: str) -> str:
    if text not in PULL_POLICIES:
        msg = f"KUBEFLOW_PULL_POLICY must be one of {', '.join(PULL_POLICIES)}, not {text!r}."
        raise InvalidConfigError(msg)
    return text


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < MAX_INTERVAL:
        msg = (
            f"KUBEFLOW_INTERVAL must be a number of seconds from 0 to {MAX_INTERVAL}, not {text!r}."
        )
        raise InvalidConfigError(msg)
    return seconds


def _user(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        msg = f"KUBEFLOW_RUN_AS_USER must be a uid above 0, not {text!r}; steps do not run as root."
        raise InvalidConfigError(msg)
    return int(text)


def _volume(text: str) -> tuple[str, str | None]:
    if not text:
        return "", None
    match = _VOLUME.fullmatch(text)
    if match is None:
        msg = f"KUBEFLOW_VOLUME must be CLAIM or CLAIM:/MOUNT/PATH, such as sd-data:/data: {text!r}"
        raise InvalidConfigError(msg)
    if match[2] and OF_THE_IMAGE.fullmatch(normpath(match[2])):
        msg = (
            f"KUBEFLOW_VOLUME would hide {match[2]} of the images; mount it elsewhere, as at /data."
        )
        raise InvalidConfigError(msg)
    return match[1], match[2]


def _secrets(text: str) -> dict[str, tuple[str, str]]:
    secrets = {}
    for word in _words(text):
        match = _SECRET.fullmatch(word)
        if match is None:
            msg = (
                "KUBEFLOW_SECRETS must be VARIABLE=SECRET/KEY, separated by commas, such as "
                f"HF_TOKEN=hugging-face/token; this is not: {_without_value(word)}"
            )
            raise InvalidConfigError(msg)
        if match[1] in secrets:
            msg = f"KUBEFLOW_SECRETS names {match[1]} twice; leave one of them out."
            raise InvalidConfigError(msg)
        secrets[match[1]] = (match[2], match[3])
    return secrets


def _without_value(word: str) -> str:
    """Return a word without what may be a secret that was meant to stay in the cluster."""
    name, equals, _ = word.partition("=")
    return f"{name}={HIDDEN}" if equals else HIDDEN


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
