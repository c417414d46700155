"""Settings that every pod is given as they are: plain variables, and labels."""

import re
from collections.abc import Container
from typing import Final

from fondant_spec.errors import InvalidConfigError
from fondant_spec.shown_text import signs_in
from fondant_spec.spec.node_choice import is_label

_VARIABLE: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_CONFIDENTIAL: Final = re.compile(r"(?i).*(TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY|ACCOUNT_KEY)")


def read_variables(text: str, secrets: Container[str]) -> dict[str, str]:
    """Return the variables of `NAME=value,NAME=value`; a comma before no `NAME=` is in the value.

    Args:
        text: of KUBEFLOW_ENV.
        secrets: the variables that are taken from secrets.

    Raises:
        InvalidConfigError: it is malformed, a variable is given twice, or is a secret.
    """
    variables: dict[str, str] = {}
    for piece in text.split(",") if text.strip() else []:
        match = _VARIABLE.fullmatch(piece)
        if match is None and not variables:
            msg = (
                "KUBEFLOW_ENV must be NAME=value, separated by commas, such as "
                f"AWS_ENDPOINT_URL=http://minio:9000,AWS_REGION=eu-west-1; this is not: {piece!r}"
            )
            raise InvalidConfigError(msg)
        if match is None:
            last = next(reversed(variables))
            variables[last] += f",{piece}"
            continue
        name, value = match.groups()
        if name in variables or name in secrets:
            msg = f"KUBEFLOW_ENV names {name}, which is given twice, or in KUBEFLOW_SECRETS too."
            raise InvalidConfigError(msg)
        if _CONFIDENTIAL.fullmatch(name) or signs_in(value):
            msg = (
                f"KUBEFLOW_ENV names {name}, whose value would be in the package for all to read; "
                f"put it in a secret, and name that: KUBEFLOW_SECRETS={name}=SECRET/KEY."
            )
            raise InvalidConfigError(msg)
        variables[name] = value
    return variables


def read_labels(text: str) -> dict[str, str]:
    """Return the labels of `key=value,key=value`.

    Raises:
        InvalidConfigError: one is none that Kubernetes takes.
    """
    labels = {}
    for word in filter(None, map(str.strip, text.split(","))):
        key, equals, value = word.partition("=")
        if not equals or not is_label(key, value):
            msg = (
                "KUBEFLOW_LABELS must be key=value as Kubernetes takes them, separated by commas, "
                f"such as team=vision; this is not: {word!r}"
            )
            raise InvalidConfigError(msg)
        labels[key] = value
    return labels
