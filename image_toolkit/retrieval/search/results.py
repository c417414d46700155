"""The result table: one row for each image kept for a seed."""

from typing import Final

import numpy as np
import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.retrieval.search.columns import MetadataColumns
from image_toolkit.retrieval.search.hits import Hits

OWN_COLUMNS: Final = frozenset(
    {
        "seed_id",
        "image_url",
        "similarity",
        "rank",
        "images_wanted",
        "index_id",
        "index_fingerprint",
        "alt_text",
        "seed_ids",
    },
)
"""Result columns that every index provides; the others are from its metadata."""


def result_batch(
    hits: Hits,
    seeds: pa.Array,
    columns: MetadataColumns,
    fingerprint: str,
    images_wanted: int,
) -> pa.RecordBatch:
    """Return `hits` as rows; `seeds` holds the id of each query.

    `images_wanted` rows of each seed are wanted; the others are spares.
    """
    seed_id = seeds.take(pa.array(hits.query))
    rows = len(hits)
    one_each = pa.array(np.arange(rows + 1), pa.int32())
    alt_text = pa.nulls(rows) if columns.caption is None else _metadata(hits, columns.caption)
    return pa.RecordBatch.from_pydict(
        {
            "seed_id": seed_id,
            "image_url": _metadata(hits, columns.url).cast(pa.string()),
            "similarity": pa.array(hits.similarity, pa.float32()),
            "rank": pa.array(hits.ranks(), pa.int32()),
            "images_wanted": pa.array([images_wanted] * rows, pa.int32()),
            "index_id": pa.array(hits.index_id, pa.int64()),
            "index_fingerprint": pa.array([fingerprint] * rows, pa.string()),
            "alt_text": alt_text.cast(pa.string()),
            "seed_ids": pa.ListArray.from_arrays(one_each, seed_id),
            **{name: _metadata(hits, name) for name in columns.extra},
        },
    )


def reject_unanswered(hits: Hits, seeds: pa.Array, rejects: Rejects) -> None:
    """Reject the seeds whose query failed, and filter those that have no hits left."""
    empty = np.flatnonzero(hits.counts(len(seeds)) == 0).tolist()
    for number in empty:
        seed = seeds[number].as_py()
        if failure := hits.failures.get(number):
            rejects.add(seed, failure.reason, failure.message, failure.attempts)
        else:
            rejects.filter(seed, "no_images", "the index has none within the limits")


def _metadata(hits: Hits, column: str) -> pa.Array:
    return hits.metadata[column].combine_chunks()
