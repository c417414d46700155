"""Finds the images nearest to CLIP vectors, through a service or in an index on disk."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.errors import InvalidPipelineError
from fondant_spec.executor import execute
from image_toolkit.retrieval.hub.index_reference import on_hub
from image_toolkit.retrieval.search.aesthetics import Aesthetics
from image_toolkit.retrieval.search.class_seeds import CLASS_PROMPT, by_class, with_class
from image_toolkit.retrieval.search.columns import ColumnChoice, find_columns
from image_toolkit.retrieval.search.filters import HitFilters
from image_toolkit.retrieval.search.gather import one_row_per_image
from image_toolkit.retrieval.search.index_models import check_index_fits
from image_toolkit.retrieval.search.results import OWN_COLUMNS, reject_unanswered, result_batch
from image_toolkit.retrieval.search.retrieve import Wanted, retrieve
from image_toolkit.retrieval.search.seeds import read_seeds
from image_toolkit.retrieval.search_target import SearchTarget
from image_toolkit.retrieval.service.service_settings import ServiceSettings


class LaionRetrieval(StreamTransformComponent):
    """Retrieves the URLs of the images most similar to each seed."""

    gathers = True
    batch_rows = 1024

    def __init__(
        self,
        *,
        target: SearchTarget,
        wanted: Wanted,
        aesthetics: Aesthetics,
        filters: HitFilters,
        columns: ColumnChoice,
        service: ServiceSettings,
        class_images: int = 200,
    ) -> None:
        target.check(wanted, aesthetics)
        self._target = target
        self._wanted = wanted
        self._of_class = replace(wanted, num_images=class_images)
        self._aesthetics = aesthetics
        self._filters = filters
        self._column_choice = columns
        self._service = service

    def setup(self, context: SetupContext) -> None:
        """Open the index, and check that it is compatible with the seeds' vectors."""
        made_by = context.input_fields["embedding"].metadata
        self._index = self._target.open(self._aesthetics, self._service)
        if dimension := made_by.get("dimension"):
            self._index.probe(dimension)
        if CLASS_PROMPT in context.input_fields and CLASS_PROMPT not in context.output_fields:
            msg = (
                f"laion_retrieval: the seeds have a field {CLASS_PROMPT!r}, which tells images of "
                "the class; say that it is kept: produces of this step, "
                f"{{{CLASS_PROMPT!r}: 'string'}}."
            )
            raise InvalidPipelineError(msg)
        self._tells_class = CLASS_PROMPT in context.output_fields
        extra = sorted(context.output_fields - OWN_COLUMNS - {CLASS_PROMPT})
        self._columns = find_columns(self._index.info.columns, self._column_choice, extra=extra)
        self._filters.check(self._index.schema, self._columns)

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return which index on the hub was used, at which commit; a local one has no name."""
        info = self._index.info
        of_hub = on_hub(info.location)
        return {"image_url": {"index": info.location, "model_id": info.model_id} if of_hub else {}}

    def teardown(self) -> None:
        """Close the connections to the service."""
        if hasattr(self, "_index"):
            self._index.close()

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield a row for each image retrieved for a seed."""
        made_by = context.input_fields["embedding"].metadata
        check_index_fits(self._index.info, made_by, self._target.index_model_id)
        for batch in batches:
            for seeds_of_one, prompt in by_class(batch):
                wanted = self._wanted if prompt is None else self._of_class
                found = self._found(seeds_of_one, wanted, context)
                yield with_class(found, prompt) if self._tells_class else found

    def _found(self, batch: pa.RecordBatch, wanted: Wanted, context: RowContext) -> pa.RecordBatch:
        seeds, queries = read_seeds(batch, self._index.info.dimension, context.rejects)
        queries = self._aesthetics.apply(queries)
        hits = retrieve(self._index, queries, wanted, self._filters, self._columns)
        if any(failure.passing for failure in hits.failures.values()):
            self._index.check_answers()
        reject_unanswered(hits, seeds, context.rejects)
        fingerprint = self._index.info.fingerprint
        return result_batch(hits, seeds, self._columns, fingerprint, wanted.num_images)

    def gather(self, rows: pads.Dataset, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield one row per image, with all seeds that found it."""
        if self._wanted.deduplicate:
            return one_row_per_image(rows, context.rejects)
        return iter(rows.to_batches())


if __name__ == "__main__":
    execute(LaionRetrieval)
