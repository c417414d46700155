"""Which nodes of a cluster a step may go to: by labels that they carry, and taints it tolerates.

https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY: Final = re.compile(rf"(?:[a-z0-9](?:[a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME}")
_VALUE: Final = re.compile(rf"(?:{_NAME})?")

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "key": (),
    "operator": ("Exists", "Equal"),
    "value": (),
    "effect": ("NoSchedule", "PreferNoSchedule", "NoExecute"),
}
"""What a toleration says, and the words that there are for it, if not any."""


def is_label(key: str, value: str) -> bool:
    """Return whether Kubernetes takes a label."""
    return bool(_KEY.fullmatch(key) and _VALUE.fullmatch(value))


def wrong_choice(
    node_selector: Mapping[str, str], tolerations: Iterable[Mapping[str, str]]
) -> str | None:
    """Return what Kubernetes would refuse of a choice of nodes, as a sentence's end; or None."""
    for key, value in node_selector.items():
        if not is_label(key, value):
            return f"node_selector has {key!r}: {value!r}, which is no label of Kubernetes"
    for toleration in tolerations:
        for word, said in toleration.items():
            if word not in _WORDS:
                return f"a toleration has {word!r}; it may say {', '.join(_WORDS)}"
            if (known := _WORDS[word]) and said not in known:
                return f"the {word} of a toleration is {said!r}, not {' or '.join(known)}"
    return None
