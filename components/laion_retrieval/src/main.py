"""Finds the images nearest to CLIP vectors, in a service or in an index on disk."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.executor import execute
from image_toolkit.retrieval.search.aesthetics import Aesthetics
from image_toolkit.retrieval.search.columns import find_columns
from image_toolkit.retrieval.search.filters import BlockList, Limits, read_block_list
from image_toolkit.retrieval.search.gather import one_row_per_image
from image_toolkit.retrieval.search.hits import CLIP_RETRIEVAL_DUPLICATE_THRESHOLD
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.search.index_models import check_index_fits
from image_toolkit.retrieval.search.results import OWN_COLUMNS, result_batch, tell_unanswered
from image_toolkit.retrieval.search.retrieve import Wanted, retrieve
from image_toolkit.retrieval.search.seeds import read_seeds
from image_toolkit.retrieval.service.service_client import GONE, Service


class LaionRetrieval(StreamTransformComponent):
    """Retrieves the URLs of the images most similar to each seed."""

    gathers = True
    batch_rows = 1024

    def __init__(
        self,
        *,
        num_images: int = 2,
        index: str | None = None,
        url: str | None = None,
        indice_name: str | None = None,
        metadata: str | None = None,
        modality: str = "image",
        index_model_id: str | None = None,
        aesthetic_score: int | None = None,
        aesthetic_weight: float = 0.5,
        aesthetic_embeddings: str | None = None,
        deduplicate: bool = True,
        duplicate_threshold: float = 0.94,
        min_similarity: float | None = None,
        max_similarity: float | None = None,
        max_unsafe: float = 0.5,
        max_watermark: float = 0.8,
        block_list: str | None = None,
        url_column: str | None = None,
        caption_column: str | None = None,
        faiss_options: str | None = None,
        use_safety_model: bool = True,
        use_violence_detector: bool = True,
        timeout: float = 30,
        retries: int = 3,
        queries_per_second: float = 5,
        concurrency: int = 4,
    ) -> None:
        if (index is None) == (url is None):
            msg = f"laion_retrieval: name either an `index` or the `url` of a service. {GONE}"
            raise InvalidArgumentError(msg)
        if num_images < 1:
            msg = f"num_images: must be at least 1, not {num_images}."
            raise InvalidArgumentError(msg)
        self._aesthetics = Aesthetics(aesthetic_score, aesthetic_weight, path(aesthetic_embeddings))
        self._source: IndexFolder | Service
        if index is not None:
            self._aesthetics.check_folder()
            self._source = IndexFolder(
                Path(index), indice_name, modality, path(metadata), faiss_options
            )
        else:
            self._source = Service(
                str(url),
                indice_name,
                modality,
                self._aesthetics,
                use_safety_model,
                use_violence_detector,
                timeout,
                retries,
                queries_per_second,
                concurrency,
            )
            if deduplicate and duplicate_threshold != CLIP_RETRIEVAL_DUPLICATE_THRESHOLD:
                msg = "duplicate_threshold: a service has its own; leave it out."
                raise InvalidArgumentError(msg)
        limits = Limits(
            min_similarity,
            max_similarity,
            max_unsafe,
            max_watermark,
            BlockList() if block_list is None else read_block_list(Path(block_list)),
            unique_urls=deduplicate,
        )
        self._wanted = Wanted(num_images, limits, duplicate_threshold if deduplicate else None)
        self._column_choice = {"url": url_column, "caption": caption_column}
        self._index_model_id = index_model_id

    def setup(self, context: SetupContext) -> None:
        """Open the index, and make sure that it can answer for the seeds' vectors."""
        made_by = context.input_fields["embedding"].metadata
        self._index = self._source.open()
        if dimension := made_by.get("dimension"):
            self._index.probe(dimension)
        extra = sorted(context.output_fields - OWN_COLUMNS)
        self._columns = find_columns(self._index.info.columns, **self._column_choice, extra=extra)

    def teardown(self) -> None:
        """Close the connections to the service."""
        if hasattr(self, "_index"):
            self._index.close()

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield a row for each image kept for a seed."""
        made_by = context.input_fields["embedding"].metadata
        check_index_fits(self._index.info, made_by, self._index_model_id)
        for batch in batches:
            seeds, queries = read_seeds(batch, self._index.info.dimension, context.rejects)
            queries = self._aesthetics.apply(queries)
            hits = retrieve(self._index, queries, self._wanted, self._columns)
            tell_unanswered(hits, seeds, context.rejects)
            yield result_batch(hits, seeds, self._columns, self._index.info.fingerprint)

    def gather(self, rows: pads.Dataset, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield one row per image, with all seeds that found it."""
        if self._wanted.limits.unique_urls:
            return one_row_per_image(rows, context.rejects)
        return iter(rows.to_batches())


def path(value: str | None) -> Path | None:
    """Return an optional argument as a path."""
    return None if value is None else Path(value)


if __name__ == "__main__":
    execute(LaionRetrieval)
