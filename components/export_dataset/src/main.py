"""Write images and captions the way trainers read them, and read the result back to make sure."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import datasets
import pyarrow as pa
from dataset_card import Counts, DatasetCard
from file_names import SourceNames
from hashed_folder import HashedFolder
from layout import ExportSettings, Layout
from layouts import LAYOUTS
from literal_paths import what_means_more
from publishing import check_replaceable, published
from training_pairs import SOURCE_NAME, TRAIN, BadPairError, PairMaker, metadata_types

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.dataset import storage
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.dataset.written_files import MARK
from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.executor import execute
from image_toolkit.images.image_errors import NotAnImageError

logger = logging.getLogger(__name__)

CARD: Final = "README.md"
NAME: Final = "file_name"
RESERVED: Final = ("file_names", "text", "label", SOURCE_NAME)


class ExportDataset(WriteComponent):
    """Writes one folder that a trainer can be pointed at, or one for each of several."""

    def __init__(
        self,
        *,
        output_path: str | None = None,
        layout: str = "imagefolder",
        layouts: list[str] | None = None,
        name_files_by: str = "id",
        validation_fraction: float = 0.0,
        convert_images: str = "needed",
        base_model: str | None = None,
        resolution: int | None = None,
        pairs_per_archive: int = 10_000,
    ) -> None:
        self._output_path = output_path and storage.normalize(output_path)
        self._several = layouts is not None
        self._layouts = _checked(layouts) if layouts is not None else [layout]
        for name in self._layouts:
            LAYOUTS[name].model_of(name, base_model)
        self._settings = ExportSettings(base_model, resolution, pairs_per_archive)
        kinds = frozenset.intersection(*(LAYOUTS[name].image_kinds for name in self._layouts))
        self._maker = PairMaker(
            kinds=kinds & {"JPEG"} if convert_images == "all" else kinds,
            converts=convert_images != "never",
            validation_fraction=validation_fraction,
            names=SourceNames() if name_files_by == NAME else None,
        )

    def setup(self, context: SetupContext) -> None:
        """Make sure, before any work, that the fields fit and that the target is free.

        Raises:
            InputDataError: a field cannot go into the metadata.
            StorageError: the target holds somebody else's files, or some that were changed.
        """
        if self._maker.names is not None and NAME not in context.input_fields:
            msg = (
                f"export_dataset: the rows have no field {NAME!r} to name files by; say which it "
                f"is, as in consumes={{{NAME!r}: 'image_url'}}, or name them by id."
            )
            raise InputDataError(msg)
        for name, field in context.input_fields.items():
            problem = None
            if name in RESERVED or name.endswith((f"_{NAME}", f"_{NAME}s")):
                problem = "has a meaning of its own to the readers; give it another name"
            elif name != "image" and _is_binary(field.type):
                problem = "is binary, which metadata cannot hold; leave it out"
            if problem:
                msg = f"export_dataset: field {name!r} {problem}."
                raise InputDataError(msg)
        self._target = self._output_path or context.output_directory
        # In the step's own folder, what a stopped run left, without a mark, makes way by itself.
        if self._output_path or storage.exists(storage.join(self._target, MARK)):
            check_replaceable(self._target)
        self._made_by = context.cache_key

    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Write all pairs, check them, and return what tells that they are there.

        Raises:
            InputDataError: there is nothing to train on.
            InvalidDatasetError: what was written reads back as something else.
        """
        mark: dict[str, Any] = {"layouts": self._layouts, "cache_key": self._made_by}
        with published(self._target, mark) as folder:
            layouts = self._open(folder, context)
            for batch in batches:
                self._add(batch, layouts, context.rejects)
            for layout in layouts.values():
                layout.close()
            pairs = next(iter(layouts.values())).counts
            counts = Counts(dict(sorted(pairs.items())), context.rejects.counts)
            if not pairs[TRAIN]:
                msg = f"export_dataset: no pairs to train on. {counts.in_words()}"
                raise InputDataError(msg)
            self._write_cards(folder, layouts, counts, context)
            datasets.disable_progress_bars()  # they tell of downloads, and nothing is downloaded
            for layout in layouts.values():
                layout.check()
            mark["pairs"] = counts.pairs
        self._tell_odd_path()
        return [storage.join(self._target, name) for name in (MARK, CARD)]

    def _tell_odd_path(self) -> None:
        odd = "" if storage.is_remote(self._target) else what_means_more(self._target)
        if odd and any(LAYOUTS[name].read_by_datasets for name in self._layouts):
            logger.warning(
                "%s: the path has %r, by which `datasets` means something of its own. The export "
                "is right, but to train from it, move the folder to a plainer path.",
                self._target,
                odd,
            )

    def _open(self, folder: HashedFolder, context: RowContext) -> dict[str, Layout]:
        """Return the layouts, each in a folder of its own where there may be several."""
        types = {name: field.type for name, field in context.input_fields.items()}
        metadata = metadata_types(types, with_ids=self._maker.names is not None)
        opened = {}
        for name in self._layouts:
            place = storage.join(self._target, name) if self._several else self._target
            settings = replace(
                self._settings,
                metadata=metadata,
                place="" if storage.is_remote(place) else place,
            )
            inside = folder.below(name) if self._several else folder
            opened[name] = LAYOUTS[name](name, inside, settings)
        return opened

    def _add(self, batch: pa.RecordBatch, layouts: Mapping[str, Layout], rejects: Rejects) -> None:
        for row in batch.to_pylist():
            try:
                pair = self._maker.pair(row)
                _ = pair.look  # what is kept as it is, is decoded here for the first time
            except (BadPairError, NotAnImageError) as bad:
                rejects.add(row["id"], bad.reason, bad.message)
                continue
            for layout in layouts.values():
                layout.add(pair)

    def _write_cards(
        self,
        folder: HashedFolder,
        layouts: Mapping[str, Layout],
        counts: Counts,
        context: RowContext,
    ) -> None:
        lineage = {name: field.metadata for name, field in context.input_fields.items()}
        card, digest = DatasetCard(counts, lineage), folder.digest()
        for layout in layouts.values():
            layout.folder.write(CARD, card.of_layout(layout, digest).encode())
        if self._several:
            folder.write(CARD, card.of_layouts(layouts).encode())


def _checked(layouts: list[Any]) -> list[str]:
    """Return several layouts as they were given, or refuse them.

    Raises:
        InvalidArgumentError: there are none, one comes twice, or one is unknown.
    """
    known = ", ".join(map(repr, LAYOUTS))
    if not layouts or len(set(map(str, layouts))) < len(layouts):
        msg = f"export_dataset: argument 'layouts' must name some of {known}, each once."
        raise InvalidArgumentError(msg)
    for name in layouts:
        if not isinstance(name, str) or name not in LAYOUTS:
            msg = f"export_dataset: argument 'layouts' must be made of {known}, not {name!r}."
            raise InvalidArgumentError(msg)
    return layouts


def _is_binary(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_binary(data_type) or pa.types.is_large_binary(data_type))


if __name__ == "__main__":
    execute(ExportDataset)
