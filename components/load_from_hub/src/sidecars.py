"""Sidecar files with an object beside an image: img2dataset's JSON, and EveryDream2's YAML."""

from collections.abc import Mapping
from typing import Any, Final

from file_kinds import YAML_SUFFIXES
from typed_cells import parsed_json

from fondant_spec.bounded_yaml import read_yaml

CAPTIONS: Final = ("text", "caption")
"""The names of the caption beside an image; both are accepted."""

_PROMPT: Final = "main_prompt"
_TAGS: Final = "tags"


def sidecar(path: str, content: bytes) -> dict[str, Any]:
    """Return the object in a sidecar file; empty if it holds none.

    Raises:
        ValueError: it is not valid JSON or YAML, according to its suffix.
    """
    if not path.lower().endswith(YAML_SUFFIXES):
        value = parsed_json(content)
        return value if isinstance(value, dict) else {}
    value = read_yaml(content.decode("utf-8"))
    return _everydream(value) if isinstance(value, Mapping) else {}


def _everydream(told: Mapping[Any, Any]) -> dict[str, Any]:
    """Return an image's EveryDream2 data: the prompt as a caption, tags and weights as lists."""
    found = {str(name): value for name, value in told.items()}
    prompt = found.get(_PROMPT)
    if isinstance(prompt, str):
        found |= dict.fromkeys(CAPTIONS, prompt)
    tags = found.get(_TAGS)
    if isinstance(tags, list):
        pairs = [
            (t.get("tag"), t.get("weight", 1.0)) if isinstance(t, Mapping) else (t, 1.0)
            for t in tags
        ]
        found[_TAGS] = [str(tag) for tag, _ in pairs]
        found["tag_weights"] = [weight for _, weight in pairs]
    return found
