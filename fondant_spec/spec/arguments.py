"""Component arguments: their types, and their way through an argument vector unchanged.

A value travels as one word after `--name`: a string as it is, everything else as JSON. This is also
what Kubeflow Pipelines does with a typed value, so a component reads its arguments in one way,
whichever runner starts it.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from fondant_spec.errors import InvalidArgumentError, did_you_mean
from fondant_spec.spec.bounds import NO_BOUNDS, Bounds
from fondant_spec.spec.secret_arguments import refuse_secrets

_REPEATABLE: Final = "input_manifest_path"


class Required(Enum):
    """The default of an argument that has none; the same in every process that it is sent to."""

    REQUIRED = "required"


REQUIRED: Final = Required.REQUIRED

_PYTHON_TYPES: Final[dict[str, type]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "tuple": list,
    "set": list,
    "dict": dict,
}

ARGUMENT_TYPES: Final = tuple(_PYTHON_TYPES)


@dataclass(frozen=True)
class Argument:
    """One argument of a component, as its spec declares it.

    `path` marks an argument that may name a local file or folder: it is made absolute, mounted into
    containers, and its content is part of the cache key. Where it cannot be an id on the `hub`,
    it is a path whether or not it is there. With `neighbours`, a container also sees
    what lies beside a file that it names. `output` marks one that names where to write: it is made
    absolute, and mounted to be written. One `by_reference` may name a secret, as env:NAME or
    file:/PATH. One that is `prominent` is among the first in a form, since people set it. One that
    does not `affects_result` (a batch size, a device, a timeout) is no part of the cache key.
    `revision_of` marks a branch, tag or commit on the Hugging Face hub: `model` or `dataset`, and
    the argument that names it. One that `names_fields` speaks of fields of the dataset, which are
    consumed for that. One that is `needed_for` some produced fields has a say in the result only
    where a step produces one of them.
    """

    name: str
    type: str
    description: str = ""
    default: Any = REQUIRED
    choices: tuple[Any, ...] = ()
    path: bool = False
    hub: bool = True
    neighbours: bool = False
    output: bool = False
    by_reference: bool = False
    affects_result: bool = True
    prominent: bool = False
    names_fields: bool = False
    revision_of: tuple[str, str] | None = None
    needed_for: tuple[str, ...] = ()
    bounds: Bounds = NO_BOUNDS

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is REQUIRED

    @property
    def default_text(self) -> str:
        """The default as help texts show it: JSON, `none`, or `required` where there is none."""
        if self.required:
            return "required"
        return "none" if self.default is None else json.dumps(self.default, ensure_ascii=False)

    def has_a_say(self, produced: Iterable[str]) -> bool:
        """Return whether it can change the result of a step that produces these fields."""
        needed = not self.needed_for or not {*self.needed_for}.isdisjoint(produced)
        return self.affects_result and needed

    def check(self, value: Any) -> Any:
        """Return `value` as the declared type, or refuse it.

        A whole float is accepted for an int, because JSON and Kubeflow make no difference between
        them; an int is accepted for a float, and a path for a str. None is accepted where it is the
        default; there an empty text stands for it, whatever the type, since no form or command line
        can say None.

        Raises:
            InvalidArgumentError: wrong type, not among the choices, out of bounds, a secret, or
                nothing that an argument vector can hold.
        """
        if self.default is None and (value is None or value == ""):
            return None
        converted = self._convert(value)
        refuse_secrets(self.name, converted, by_reference=self.by_reference)
        if self.choices and converted not in self.choices:
            choices = ", ".join(map(repr, self.choices))
            msg = f"argument {self.name!r} must be one of {choices}, not {converted!r}."
            raise InvalidArgumentError(msg)
        self.bounds.check(self.name, converted)
        return converted

    def _convert(self, value: Any) -> Any:
        wanted = _PYTHON_TYPES[self.type]
        if wanted is float and type(value) is int:
            return self._as_float(value)
        if wanted is int and type(value) is float and value.is_integer():
            return int(value)
        if wanted is str and isinstance(value, os.PathLike):
            value = os.fspath(value)
        if wanted is list and isinstance(value, tuple | set | frozenset):
            value = sorted(value, key=repr) if isinstance(value, set | frozenset) else list(value)
        if type(value) is not wanted:
            found = f"{value!r} ({type(value).__name__})"
            msg = f"argument {self.name!r} must be of type {self.type}, not {found}."
            raise InvalidArgumentError(msg)
        if isinstance(value, str) and "\0" in value:
            msg = f"argument {self.name!r} must not hold a NUL character: {value!r}."
            raise InvalidArgumentError(msg)
        return self._plain(value)

    def _as_float(self, value: int) -> float:
        try:
            return float(value)
        except OverflowError:
            msg = f"argument {self.name!r} is too large for a float: give a smaller number."
            raise InvalidArgumentError(msg) from None

    def _plain(self, value: Any) -> Any:
        """Return a copy of a value that JSON can hold; tuples in it become lists."""
        if isinstance(value, float) and not math.isfinite(value):
            msg = f"argument {self.name!r} must have finite numbers only, not {value!r}."
            raise InvalidArgumentError(msg)
        if isinstance(value, list | tuple):
            return [self._plain(item) for item in value]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {key: self._plain(item) for key, item in value.items()}
        if value is None or type(value) in (str, int, float, bool):
            return value
        msg = (
            f"argument {self.name!r} must be made of texts, numbers, lists and objects with texts "
            f"as keys, but holds {value!r} ({type(value).__name__})."
        )
        raise InvalidArgumentError(msg)

    def to_text(self, value: Any) -> str:
        """Return the word that stands for a checked value in an argument vector."""
        return value if self.type == "str" else json.dumps(value, ensure_ascii=False)

    def from_text(self, text: str) -> Any:
        """Return the value that a word stands for: the inverse of `to_text`.

        Raises:
            InvalidArgumentError: the word does not spell a value of the declared type.
        """
        if self.type == "str" or (self.default is None and not text):
            return self.check(text)
        if self.type == "bool" and text in ("True", "False"):
            return text == "True"
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            msg = f"argument {self.name!r} must be of type {self.type} in JSON, not {text!r}."
            raise InvalidArgumentError(msg) from error
        return self.check(value)


def checked(argument: Argument, value: Any, where: str) -> Any:
    """Return a value as the argument's type; `where` names the step in errors.

    Raises:
        InvalidArgumentError: wrong type, not among the choices, or out of range.
    """
    with _located(where):
        return argument.check(value)


def resolve(
    declared: Mapping[str, Argument],
    given: Mapping[str, Any],
    where: str,
) -> dict[str, Any]:
    """Return the value of every declared argument: what is given, else the default.

    Raises:
        InvalidArgumentError: an unknown name, a missing value, or a wrong type.
    """
    for name in given:
        if name not in declared:
            hint = did_you_mean(name, list(declared))
            known = ", ".join(declared) or "none"
            msg = f"{where}: unknown argument {name!r}{hint} Known: {known}."
            raise InvalidArgumentError(msg)
    missing = [name for name, a in declared.items() if a.required and name not in given]
    if missing:
        msg = f"{where}: missing argument {', '.join(map(repr, missing))}; give it a value."
        raise InvalidArgumentError(msg)
    with _located(where):
        return {name: a.check(given.get(name, a.default)) for name, a in declared.items()}


def to_argv(declared: Mapping[str, Argument], values: Mapping[str, Any]) -> list[str]:
    """Return the argument vector that stands for values; None, which is a default, has no word."""
    argv: list[str] = []
    for name, value in values.items():
        if value is not None:
            argv += [f"--{name}", declared[name].to_text(value)]
    return argv


def from_words(
    declared: Mapping[str, Argument],
    words: Mapping[str, str],
    where: str,
) -> dict[str, Any]:
    """Return the values of all declared arguments, given the words of an argument vector.

    Raises:
        InvalidArgumentError: an unknown name, a missing value, or a wrong type.
    """
    with _located(where):
        given = {
            name: declared[name].from_text(word) if name in declared else word
            for name, word in words.items()
        }
    return resolve(declared, given, where)


def further_words(
    declared: Mapping[str, Argument],
    further: Mapping[str, Any],
    words: Mapping[str, str],
    where: str,
) -> dict[str, str]:
    """Return arguments that came in one object as words beside those that came as such.

    Raises:
        InvalidArgumentError: one came twice.
    """
    if twice := sorted(further.keys() & words.keys()):
        msg = f"{where}: argument {twice[0]!r} is given twice."
        raise InvalidArgumentError(msg)
    return {
        name: value
        if isinstance(value, str) and (name not in declared or declared[name].type == "str")
        else json.dumps(value, ensure_ascii=False)
        for name, value in further.items()
        if value is not None
    }


def split_argv(argv: Sequence[str]) -> dict[str, str]:
    """Return name to word of an argument vector made of `--name word` or `--name=word`.

    The word after a name is always its value, also when it begins with a dash. The words of a
    repeated `--input_manifest_path` become one: a list in JSON.

    Raises:
        InvalidArgumentError: a word where a name should be, a name without a word, or one twice.
    """
    words: dict[str, list[str]] = {}
    for name, word in _pairs(argv):
        if name in words and name != _REPEATABLE:
            msg = f"argument {name!r} is given twice."
            raise InvalidArgumentError(msg)
        words.setdefault(name, []).append(word)
    return {name: w[0] if len(w) == 1 else json.dumps(w) for name, w in words.items()}


def _pairs(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    remaining = iter(argv)
    for head in remaining:
        name, equals, word = head.removeprefix("--").partition("=")
        if not head.startswith("--") or not name:
            msg = f"expected an argument name such as --batch_size, found {head!r}."
            raise InvalidArgumentError(msg)
        if not equals:
            following = next(remaining, None)
            if following is None:
                msg = f"argument {name!r} has no value."
                raise InvalidArgumentError(msg)
            word = following
        yield name, word


@contextmanager
def _located(where: str) -> Iterator[None]:
    try:
        yield
    except InvalidArgumentError as error:
        msg = f"{where}: {error}"
        raise InvalidArgumentError(msg) from None
