"""Write images and captions the way trainers read them, and read the result back to make sure."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Final

import datasets
import pyarrow as pa
from class_images import ClassImages
from credit_table import FILE as CREDITS
from credit_table import LICENCE, Credits
from croissant import FILE as CROISSANT
from croissant import croissant
from dataset_card import Counts, DatasetCard
from exported_fields import NAME, check_fields
from file_names import SourceNames
from layout import ExportSettings, Layout
from layouts import LAYOUTS
from literal_paths import what_means_more
from masks import MASK
from pair_texts import CLASS_PROMPT, MORE_CAPTIONS
from picture_looks import FileLooks
from sample_pairs import Samples
from training_pairs import PairMaker, metadata_types

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.dataset import storage
from fondant_spec.dataset.history import steps_before
from fondant_spec.dataset.manifest import Field, Manifest
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.dataset.written_files import MARK
from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.executor import execute
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.licences import is_one_of, licence_id, pages
from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.publishing.published_folder import check_replaceable, published
from image_toolkit.training.bad_rows import BadRowError
from image_toolkit.training.linked_rows import SplitSides, torn_told
from image_toolkit.training.row_repeats import REPEATS
from image_toolkit.training.splits import TRAIN, none_held_out
from image_toolkit.training.trained_models import model_to_train

logger = logging.getLogger(__name__)

CARD: Final = "README.md"


class ExportDataset(WriteComponent):
    """Writes one folder that a trainer can be pointed at, or one for each of several."""

    def __init__(
        self,
        *,
        output_path: str | None = None,
        layout: str = "imagefolder",
        layouts: list[str] | None = None,
        licenses: list[str] | None = None,
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
            model_to_train(name, base_model)
        self._licences = {licence_id(str(licence)) for licence in licenses or ()}
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
        needed = {NAME: self._maker.names is not None, LICENCE: bool(self._licences)}
        check_fields(
            context.input_fields, [name for name, is_needed in needed.items() if is_needed]
        )
        self._target = self._output_path or context.output_directory
        # In the step's own folder, what a stopped run left, without a mark, makes way by itself.
        if self._output_path or storage.exists(storage.join(self._target, MARK)):
            check_replaceable(self._target)
        self._made_by = context.cache_key
        self._manifests = context.manifests
        self._credits, self._samples = Credits(context.input_fields.keys()), Samples()

    def write(self, batches: Iterator[pa.RecordBatch], context: RowContext) -> list[str]:
        """Write all pairs, check them, and return what tells that they are there.

        Raises:
            InputDataError: there is nothing to train on.
            InvalidDatasetError: what was written reads back as something else.
        """
        mark: dict[str, Any] = {"layouts": self._layouts, "cache_key": self._made_by}
        with published(self._target, mark) as folder:
            layouts = self._open(folder, context)
            self._sides = SplitSides()
            for batch in _class_last(batches, context):
                self._add(batch, layouts, context.rejects)
            if torn := self._sides.torn():
                logger.warning(torn_told(torn))
            for layout in layouts.values():
                layout.close()
            first = next(iter(layouts.values()))
            pairs, seen = first.counts, first.seen() if first.settings.repeats else {}
            counts = Counts(dict(sorted(pairs.items())), context.rejects.counts, seen)
            if not pairs[TRAIN]:
                msg = f"export_dataset: no pairs to train on. {counts.in_words()}"
                raise InputDataError(msg)
            if nothing := none_held_out(pairs, self._maker.validation_fraction):
                logger.warning("%s", nothing)
            self._write_cards(folder, layouts, counts, context)
            for name, layout in layouts.items():
                layout.budget.tell(name)
                self._tell_what_is_unread(layout)
            datasets.disable_progress_bars()  # they tell of downloads, and nothing is downloaded
            looks = FileLooks()
            for layout in layouts.values():
                layout.check(looks)
            mark["pairs"] = counts.pairs
        self._tell_odd_path()
        return [storage.join(self._target, name) for name in (MARK, CARD)]

    def _tell_what_is_unread(self, layout: Layout) -> None:
        if layout.settings.masks and not layout.masked_splits:
            logger.warning("%s: its trainer takes no masks, so there are none.", layout.name)
        if layout.repeats and layout.read_by_datasets:
            logger.warning(
                "%s: what reads it sees each pair once, whatever its repeats.", layout.name
            )

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
                several_captions=MORE_CAPTIONS in types,
                masks=MASK in types,
                repeats=REPEATS in types,
            )
            inside = folder.below(name) if self._several else folder
            opened[name] = LAYOUTS[name](name, inside, settings)
        return opened

    def _add(self, batch: pa.RecordBatch, layouts: Mapping[str, Layout], rejects: Rejects) -> None:
        for row in batch.to_pylist():
            licence = licence_id(row.get(LICENCE))
            if self._licences and not is_one_of(licence, self._licences):
                rejects.filter(row["id"], LICENCE, f"{licence}: none of those to keep")
                continue
            try:
                pair = self._maker.pair(row)
                _ = pair.look  # what is kept as it is, is decoded here for the first time
            except (BadRowError, NotAnImageError) as bad:
                rejects.add(row["id"], bad.reason, bad.message)
                continue
            self._credits.add(pair)
            self._samples.add(pair)
            self._sides.add(row, pair.split)
            for layout in layouts.values():
                layout.add(pair)

    def _write_cards(
        self,
        folder: HashedFolder,
        layouts: Mapping[str, Layout],
        counts: Counts,
        context: RowContext,
    ) -> None:
        steps = steps_before(self._manifests)
        lineage = {name: _told_of(field, steps) for name, field in context.input_fields.items()}
        share = self._maker.validation_fraction
        card = DatasetCard(counts, lineage, steps, self._credits, self._samples, share)
        table, digest = self._credits.csv(), folder.digest()
        for layout in layouts.values():
            if self._credits.known:
                layout.folder.write_shared(CREDITS, table)
            types = layout.settings.metadata
            told = croissant(layout.folder, types, pages(self._credits.licences))
            layout.folder.write_json(CROISSANT, told)
            layout.folder.write(CARD, card.of_layout(layout, digest).encode())
        if self._several:
            if self._credits.known:
                folder.write_shared(CREDITS, table)
            folder.write(CARD, card.of_layouts(folder, layouts, digest).encode())


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


def _told_of(field: Field, steps: Sequence[Manifest]) -> Mapping[str, Any]:
    """Return what the maker of a field said of it, or that of an earlier state, if it said nothing.

    A step that corrects captions has no word for who wrote the others.
    """
    earlier = (step.fields[field.name] for step in reversed(steps) if field.name in step.fields)
    return next((found.metadata for found in (field, *earlier) if found.metadata), {})


def _class_last(batches: Iterator[pa.RecordBatch], context: RowContext) -> Iterator[pa.RecordBatch]:
    """Yield all rows, those of the class at the end, and without pictures that are in others."""
    if CLASS_PROMPT not in context.input_fields:
        yield from batches
        return
    with closing(ClassImages()) as apart:
        for batch in batches:
            yield apart.without(batch)
        yield from apart.apart(context.rejects)


if __name__ == "__main__":
    execute(ExportDataset)
