"""Write images and captions the way trainers read them, and read the result back to make sure."""

import logging
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
from dataset_card import Counts, dataset_card
from file_names import SourceNames
from literal_paths import what_means_more
from publishing import check_replaceable, published
from training_formats import FORMATS, TrainingFormat
from training_pairs import SOURCE_NAME, TRAIN, BadPairError, PairMaker

from fondant_spec.component import RowContext, SetupContext, WriteComponent
from fondant_spec.dataset import storage
from fondant_spec.dataset.rejects import Rejects
from fondant_spec.dataset.written_files import MARK
from fondant_spec.errors import InputDataError
from fondant_spec.executor import execute
from image_toolkit.images.image_errors import NotAnImageError

logger = logging.getLogger(__name__)

CARD: Final = "README.md"
NAME: Final = "file_name"
RESERVED: Final = ("file_names", "text", "label", SOURCE_NAME)


class ExportDataset(WriteComponent):
    """Writes one folder that a trainer can be pointed at."""

    def __init__(
        self,
        *,
        output_path: str | None = None,
        layout: str = "imagefolder",
        name_files_by: str = "id",
        validation_fraction: float = 0.0,
        convert_images: str = "needed",
        resolution: int = 512,
        pairs_per_archive: int = 10_000,
    ) -> None:
        self._output_path = output_path and storage.normalize(output_path)
        self._layout = layout
        self._settings = {"resolution": resolution, "pairs_per_archive": pairs_per_archive}
        kinds = FORMATS[layout].kinds
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
        mark: dict[str, Any] = {"layout": self._layout, "cache_key": self._made_by}
        with published(self._target, mark) as folder:
            layout = FORMATS[self._layout](folder, **self._settings)
            for batch in batches:
                self._add(batch, layout, context.rejects)
            layout.close()
            counts = Counts(dict(sorted(layout.counts.items())), context.rejects.counts)
            if not layout.counts[TRAIN]:
                msg = f"export_dataset: no pairs to train on. {counts.in_words()}"
                raise InputDataError(msg)
            layout.check()
            mark["pairs"] = counts.pairs
            folder.write(CARD, self._card(counts, context, folder.digest()).encode())
        self._tell_odd_path()
        return [storage.join(self._target, name) for name in (MARK, CARD)]

    def _tell_odd_path(self) -> None:
        odd = "" if storage.is_remote(self._target) else what_means_more(self._target)
        if odd and self._layout != "kohya":
            logger.warning(
                "%s: the path has %r, by which `datasets` means something of its own. The export "
                "is right, but to train from it, move the folder to a plainer path.",
                self._target,
                odd,
            )

    def _add(self, batch: pa.RecordBatch, layout: TrainingFormat, rejects: Rejects) -> None:
        for row in batch.to_pylist():
            try:
                layout.add(self._maker.pair(row))
            except (BadPairError, NotAnImageError) as bad:
                rejects.add(row["id"], bad.reason, bad.message)

    def _card(self, counts: Counts, context: RowContext, digest: str) -> str:
        lineage = {name: field.metadata for name, field in context.input_fields.items()}
        return dataset_card(self._layout, counts, lineage, self._settings["resolution"], digest)


def _is_binary(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_binary(data_type) or pa.types.is_large_binary(data_type))


if __name__ == "__main__":
    execute(ExportDataset)
