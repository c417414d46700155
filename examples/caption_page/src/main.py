"""Write a page that shows each image with its caption, and the captions as texts to correct."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from page import Entry, page, thumbnail

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.dataset import storage
from fondant_spec.dataset.writable_places import why_no_file, why_no_folder
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.executor import execute
from image_toolkit.edits.caption_file_names import text_names
from image_toolkit.edits.caption_files import Written, listed_texts, write_texts
from image_toolkit.edits.edit import WRITTEN_CAPTION
from image_toolkit.edits.image_key import image_keys, key_field
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.publishing.page_names import PAGE, PICTURES, TEXTS, picture_name

logger = logging.getLogger(__name__)

_HOW: Final = (
    "To correct a caption, change its text in the folder texts with any editor, and give the same "
    "command again: what you wrote is taken over, and stays whatever model captions next."
)


class CaptionPage(WriteComponent):
    """Writes `index.html`, a small picture and a text for each image."""

    def __init__(self, *, output_path: str) -> None:
        if storage.is_remote(output_path):
            msg = f"caption_page: output_path must be a folder of this machine, not {output_path}."
            raise InvalidArgumentError(msg)
        self._folder = Path(output_path)

    def setup(self, context: SetupContext) -> None:
        """Note what images are told by, and make sure that the page can be written.

        Raises:
            InvalidArgumentError: it cannot.
        """
        inside = (self._folder / name for name in (PICTURES, TEXTS))
        checks = [why_no_file(str(self._folder / PAGE)), *(why_no_folder(str(f)) for f in inside)]
        if why := next(filter(None, checks), None):
            msg = f"caption_page: output_path {self._folder}: {why}; name a folder to write to."
            raise InvalidArgumentError(msg)
        self._key = key_field(context.input_fields.keys())

    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Write the page last, when what it shows is there."""
        rows: list[tuple[dict[str, Any], str, str]] = []
        for batch in batches:
            keys = image_keys(batch.column(self._key)).to_pylist()
            for row, key in zip(batch.to_pylist(), keys, strict=True):
                picture = f"{PICTURES}/{picture_name(len(rows))}"
                if self._shows(row, picture, context):
                    narrow = {name: value for name, value in row.items() if name != "image"}
                    rows.append((narrow, str(key), picture))
        names = list(text_names((row.get("file_name"), row["id"]) for row, _, _ in rows))
        written = {
            name: Written(key, row["caption"], row.get(WRITTEN_CAPTION, row["caption"]))
            for name, (row, key, _) in zip(names, rows, strict=True)
        }
        self._remove_pictures(len(rows))
        for name in write_texts(self._folder / TEXTS, written):
            logger.warning("%s was changed meanwhile, and stays: run again to take it over", name)
        entries = [
            Entry(picture, f"{TEXTS}/{name}", row["caption"], bool(row.get("edit_state")))
            for name, (row, _, picture) in zip(names, rows, strict=True)
        ]
        place = self._folder / PAGE
        storage.write_text(str(place), page(entries, _HOW))
        logger.info("look at %s; correct the texts in %s", place, self._folder / TEXTS)
        return [str(place)]

    def _remove_pictures(self, count: int) -> None:
        """Remove the pictures that an earlier page had beyond this count: one for each text."""
        for number in range(count, len(listed_texts(self._folder / TEXTS) or ())):
            (self._folder / PICTURES / picture_name(number)).unlink(missing_ok=True)

    def _shows(self, row: dict[str, Any], picture: str, context: RowContext) -> bool:
        """Write the picture of a row, or reject the row."""
        try:
            small = thumbnail(row["image"] or b"")
        except NotAnImageError as error:
            context.rejects.add(row["id"], error.reason, error.message)
            return False
        if row["caption"] is None:
            context.rejects.add(row["id"], "no_caption", "the caption is null")
            return False
        place = self._folder / picture
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(small)
        return True


if __name__ == "__main__":
    execute(CaptionPage)
