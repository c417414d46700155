"""Files with one caption per line beside an image, for trainers configured to pick one line.

That is kohya's `enable_wildcard`, in which literal braces are doubled, and OneTrainer's `sample`.
Otherwise, a text with several lines is a single caption.
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
"""The column of all captions but the first, as `export_dataset` expects it."""

Lines: TypeAlias = Callable[[str], list[str]]
"""Splits a text into its captions."""

_KOHYA: Final = "dataset.toml"
_ONETRAINER: Final = "concepts.json"
_MOST_BYTES: Final = 1 << 20


def lines_of_trainer(folder: LocalFolder | RemoteFolder, names: Collection[str]) -> Lines | None:
    """Return a function that splits the texts of a folder; None if each is one caption."""
    if _KOHYA in names and _is_told(folder, _KOHYA, _has_wildcards):
        return _undoubled
    if _ONETRAINER in names and _is_told(folder, _ONETRAINER, _is_sampled):
        return _lines
    return None


def _is_told(folder: LocalFolder | RemoteFolder, name: str, asked: Callable[[bytes], bool]) -> bool:
    """Return whether a configuration says so; False if it cannot be read."""
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
    """Return the non-blank lines, stripped as trainers do."""
    return [line for line in map(str.strip, text.split("\n")) if line]


def _undoubled(text: str) -> list[str]:
    return [line.replace("{{", "{").replace("}}", "}") for line in _lines(text)]
