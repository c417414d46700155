"""An edit: a new value that a person gave to one cell, that is, to one field of an image."""

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.training.splits import SPLIT, TRAIN, VALIDATION

CAPTION: Final = "caption"
DROPPED: Final = "dropped"
ACCEPTED: Final = "accepted"
TAG: Final = "tag:"
"""The prefix of a tag's field, followed by the tag's name. Each tag is its own cell, so that two
people who each add one do not conflict."""

WRITTEN_CAPTION: Final = "written_caption"
"""The field in which `apply_edits` keeps the caption as written by the steps."""

_OF_TEXT: Final = "caption:"

SPLITS: Final = (TRAIN, VALIDATION)

LONGEST_CAPTION: Final = 20_000
LONGEST_TAG: Final = 200

Value = str | bool | None


@dataclass(frozen=True)
class Edit:
    """A new value that a person gave to a cell.

    `image` is the key of the image: see `image_key`. `value` is the cell's new value: the text of a
    caption, the name of a split, or whether the image is dropped, accepted, or has the tag; None
    restores the value of the steps. `after` lists the edits of the same cell that the person saw,
    which this one supersedes. `beneath` is the value of the steps. `action` is shared by edits that
    were made together, and are undone together; `undoes` is the action that this one reverts.
    `dataset` and `row` say where the person saw the cell. `of_text` is true for a caption if rows
    of the image have several captions: it applies to those equal to `beneath`.
    """

    id: str
    at: str
    by: str
    image: str
    field: str
    value: Value
    after: tuple[str, ...] = ()
    beneath: Value = None
    action: str = ""
    undoes: str = ""
    dataset: str = ""
    row: str = ""
    of_text: bool = False

    @property
    def cell(self) -> tuple[str, str]:
        """The image and the field, or a name for one of the image's texts."""
        own = self.of_text and self.field == CAPTION
        return (self.image, text_cell(self.beneath) if own else self.field)

    def to_json(self) -> str:
        """Return the edit as one line, including the line feed."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":")) + "\n"

    @classmethod
    def from_json(cls, line: str) -> "Edit":
        """Parse an edit from its line.

        Raises:
            ValueError: it is not an edit; the message says why.
        """
        content = json.loads(line)
        if not isinstance(content, dict):
            msg = "it is no JSON object"
            raise ValueError(msg)  # noqa: TRY004 - every fault of a line is the same error
        texts = {"id", "at", "by", "image", "field"}
        others = {name: content.get(name, "") for name in ("action", "undoes", "dataset", "row")}
        for name in sorted(texts):
            if not isinstance(content.get(name), str) or not content[name]:
                msg = f"{name} must be a text, not {content.get(name)!r}"
                raise ValueError(msg)
        after = content.get("after", [])
        if not isinstance(after, list) or not all(isinstance(one, str) for one in after):
            msg = f"after must be a list of ids, not {after!r}"
            raise ValueError(msg)
        if not all(isinstance(value, str) for value in others.values()):
            msg = f"{', '.join(others)} must be texts"
            raise ValueError(msg)
        of_text = content.get("of_text", False)
        if not isinstance(of_text, bool):
            msg = f"of_text must be true or false, not {of_text!r}"
            raise ValueError(msg)  # noqa: TRY004 - every fault of a line is the same error
        value, beneath = content.get("value"), content.get("beneath")
        if problem := what_is_wrong(content["field"], value):
            raise ValueError(problem)
        known = {name: content[name] for name in texts}
        return cls(
            **known,
            **others,
            value=value,
            beneath=beneath,
            after=tuple(after),
            of_text=of_text,
        )


def text_cell(beneath: Value) -> str:
    """Return the name of the cell for one of several captions of an image."""
    return f"{_OF_TEXT}{beneath if isinstance(beneath, str) else ''}"


def text_of(cell: str) -> str | None:
    """Return the caption that a cell is for; None if it is for the whole image."""
    return cell.removeprefix(_OF_TEXT) if cell.startswith(_OF_TEXT) else None


def new_id() -> str:
    """Return a unique id."""
    return uuid.uuid4().hex


def now() -> str:
    """Return the current time in UTC, in the form used in edits; it sorts chronologically."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def check_value(field: str, value: Any) -> None:
    """Check that a cell can hold a value.

    Raises:
        InvalidArgumentError: it cannot, or there is no such cell.
    """
    if problem := what_is_wrong(field, value):
        msg = f"{problem}."
        raise InvalidArgumentError(msg)


def what_is_wrong(field: str, value: Any) -> str:
    """Return why a cell cannot hold a value, without a full stop; empty if it can."""
    if value is None:
        return "" if _is_field(field) else f"there is no field {field!r} to edit"
    if field == CAPTION:
        if not isinstance(value, str) or not _is_text(value):
            return f"a caption must be a text, not {value!r}"
        return _too_long("a caption", value, LONGEST_CAPTION) or (
            "a caption must not be blank; drop the image instead" if not value.strip() else ""
        )
    if field == SPLIT:
        return "" if value in SPLITS else f"a split is {' or '.join(SPLITS)}, not {value!r}"
    if not _is_field(field):
        return f"there is no field {field!r} to edit"
    return "" if isinstance(value, bool) else f"{field} must be true or false, not {value!r}"


def _is_field(field: str) -> bool:
    if field.startswith(TAG):
        tag = field.removeprefix(TAG)
        shown = tag.strip() == tag != "" and "," not in tag and tag.isprintable()
        return shown and not _too_long("a tag", tag, LONGEST_TAG)
    return field in {CAPTION, DROPPED, SPLIT, ACCEPTED}


def _is_text(value: str) -> bool:
    """Return whether a text can be encoded in UTF-8, unlike one with a lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_long(what: str, value: str, most: int) -> str:
    return f"{what} has {most:,} characters at most, not {len(value):,}" * (len(value) > most)
