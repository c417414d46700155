"""Finds the images nearest to CLIP vectors, in a service or in an index on disk."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.executor import execute
from image_toolkit.retrieval.hub.index_reference import on_hub
from image_toolkit.retrieval.search.aesthetics import Aesthetics
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
    ) -> None:
        target.check(wanted, aesthetics)
        self._target = target
        self._wanted = wanted
        self._aesthetics = aesthetics
        self._filters = filters
        self._column_choice = columns
        self._service = service

    def setup(self, context: SetupContext) -> None:
        """Open the index, and make sure that it can answer for the seeds' vectors."""
        made_by = context.input_fields["embedding"].metadata
        self._index = self._target.open(self._aesthetics, self._service)
        if dimension := made_by.get("dimension"):
            self._index.probe(dimension)
        extra = sorted(context.output_fields - OWN_COLUMNS)
        self._columns = find_columns(self._index.info.columns, self._column_choice, extra=extra)

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return which index of the hub, at which commit; what lies on a machine has no name."""
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
        """Yield a row for each image kept for a seed."""
        made_by = context.input_fields["embedding"].metadata
        check_index_fits(self._index.info, made_by, self._target.index_model_id)
        for batch in batches:
            seeds, queries = read_seeds(batch, self._index.info.dimension, context.rejects)
            queries = self._aesthetics.apply(queries)
            hits = retrieve(self._index, queries, self._wanted, self._filters, self._columns)
            if any(failure.passing for failure in hits.failures.values()):
                self._index.check_answers()
            reject_unanswered(hits, seeds, context.rejects)
            yield result_batch(hits, seeds, self._columns, self._index.info.fingerprint)

    def gather(self, rows: pads.Dataset, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield one row per image, with all seeds that found it."""
        if self._wanted.deduplicate:
            return one_row_per_image(rows, context.rejects)
        return iter(rows.to_batches())


if __name__ == "__main__":
    execute(LaionRetrieval)
