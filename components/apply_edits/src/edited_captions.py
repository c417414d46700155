"""Edits of captions that no row has any longer: such an edit is kept pending, and reported."""

from collections import defaultdict
from collections.abc import Mapping

from fondant_spec.component import SetupContext
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.partitions import read_batches
from image_toolkit.edits.cells import Cell
from image_toolkit.edits.edit import CAPTION, text_of
from image_toolkit.edits.image_key import SOURCE, image_keys


def waiting_edits(
    images: Mapping[str, Mapping[str, Cell]], context: SetupContext
) -> dict[str, list[Cell]]:
    """Return, by image, the edited caption cells for which the image has no matching row.

    This reads all captions, if any edit concerns one of several captions. If images are not
    identified by `sha256`, all images would have to be read, so nothing is looked for.
    """
    edited = {image: found for image, cells in images.items() if (found := _of_texts(cells))}
    if not edited or not {SOURCE, CAPTION} <= context.input_fields.keys():
        return {}
    there = _captions(context, edited)
    return {
        image: waiting
        for image, captions in there.items()
        if (waiting := [cell for text, cell in edited[image].items() if text not in captions])
    }


def _of_texts(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return the edits of single captions, by caption; "" is that of rows without one."""
    texts = ((text_of(field), cell) for field, cell in cells.items())
    return {text: cell for text, cell in texts if text is not None and cell.stands}


def _captions(context: SetupContext, images: Mapping[str, object]) -> dict[str, set[str]]:
    """Return the captions of some images over all rows."""
    found: dict[str, set[str]] = defaultdict(set)
    fields = {name: context.input_fields[name] for name in (SOURCE, CAPTION)}
    manifest = Manifest.read(context.manifests[0])
    for partition in manifest.partitions:
        for batch in read_batches(fields, manifest.index_location, partition.name):
            keys = image_keys(batch.column(SOURCE)).to_pylist()
            for key, caption in zip(keys, batch.column(CAPTION).to_pylist(), strict=True):
                if key in images:
                    found[key].add(caption or "")
    return found
