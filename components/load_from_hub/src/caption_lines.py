"""Captions that lie one a line beside an image, where a trainer is told to draw a line each time.

That is kohya's `enable_wildcard`, which also has a brace doubled that stands for itself, and
OneTrainer's `sample`. Elsewhere a text with several lines is one caption.
"""

import logging
import tomllib
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeAlias

from folder_files import LocalFolder, RemoteFolder
from typed_cells import parsed_json

from image_toolkit.text_encodings import decoded

logger = logging.getLogger(__name__)

MORE_CAPTIONS: Final = "more_captions"
"""What all captions but the first are called, as `export_dataset` takes them."""

Lines: TypeAlias = Callable[[str], list[str]]
"""Makes of a text the captions in it."""

_KOHYA: Final = "dataset.toml"
_ONETRAINER: Final = "concepts.json"
_MOST_BYTES: Final = 1 << 20


def lines_of_trainer(folder: LocalFolder | RemoteFolder, names: Collection[str]) -> Lines | None:
    """Return what takes apart the texts of a folder; None where each is one caption."""
    if _KOHYA in names and _is_told(folder, _KOHYA, _has_wildcards):
        return _undoubled
    if _ONETRAINER in names and _is_told(folder, _ONETRAINER, _is_sampled):
        return _lines
    return None


def _is_told(folder: LocalFolder | RemoteFolder, name: str, asked: Callable[[bytes], bool]) -> bool:
    """Return whether a configuration says so; one that cannot be read says nothing."""
    try:
        with folder.file(name).open() as file:
            return asked(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        told = "is not read, so each text beside an image is one caption"
        logger.warning("%s: %s %s: %s", folder.root, name, told, error)
        return False


def _has_wildcards(content: bytes) -> bool:
    general = tomllib.loads(decoded(content)).get("general")
    return isinstance(general, Mapping) and general.get("enable_wildcard") is True


def _is_sampled(content: bytes) -> bool:
    concepts = parsed_json(content)
    return isinstance(concepts, list) and any(map(_has_texts, concepts))


def _has_texts(concept: Any) -> bool:
    text = concept.get("text") if isinstance(concept, Mapping) else None
    return isinstance(text, Mapping) and text.get("prompt_source") == "sample"


def _lines(text: str) -> list[str]:
    """Return the lines that are not blank, as trainers strip them."""
    return [line for line in map(str.strip, text.split("\n")) if line]


def _undoubled(text: str) -> list[str]:
    return [line.replace("{{", "{").replace("}}", "}") for line in _lines(text)]
