"""One row per image across seeds: the best hit is kept, with the ids of all seeds that found it."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.retrieval.search.class_seeds import CLASS_PROMPT
from image_toolkit.retrieval.search.duplicates import url_key
from image_toolkit.retrieval.search.hits import IntArray

_COMPARED: Final = ["id", "seed_id", "image_url", "similarity", "rank", "images_wanted"]


def one_row_per_image(rows: pads.Dataset, rejects: Rejects) -> Iterator[pa.RecordBatch]:
    """Yield `rows` without those whose `image_url` another row has with a higher `similarity`.

    Rows of no class take precedence over those of a class: a training image is never a
    regularisation image. Rows that their seed wants take precedence over spares; see `_turns`.
    `seed_ids` of a kept row lists all seeds that found the image, in that order; the other rows are
    filtered, each with the id of the row that was kept instead.
    """
    told = [CLASS_PROMPT] if CLASS_PROMPT in rows.schema.names else []
    narrow = rows.to_table(columns=[*_COMPARED, *told])
    order, group = _best_first(narrow)
    first = np.r_[True, group[1:] != group[:-1]] if len(group) else np.empty(0, np.bool_)
    winner_of = order[np.flatnonzero(first)[np.cumsum(first) - 1]] if len(order) else order
    _reject(narrow, order[~first], winner_of[~first], rejects)
    seeds = pa.ListArray.from_arrays(
        pa.array(np.r_[np.flatnonzero(first), len(order)], pa.int32()),
        _strings(narrow, "seed_id").take(pa.array(order)),
    )
    winners = order[first]
    back = np.argsort(winners)
    yield from _kept(rows, winners[back], seeds.take(pa.array(back)))


def _best_first(narrow: pa.Table) -> tuple[IntArray, IntArray]:
    """Return the row numbers ordered by image, best first, and the image number of each."""
    keys = pa.array([url_key(url) for url in narrow["image_url"].to_pylist()], pa.string())
    image = pc.dictionary_encode(keys).indices.to_numpy(zero_copy_only=False)
    similarity = narrow["similarity"].to_numpy()
    of_class = np.zeros(len(image), np.bool_)
    if CLASS_PROMPT in narrow.column_names:
        of_class = narrow[CLASS_PROMPT].is_valid().to_numpy()
    numbers = np.arange(len(image))
    turn = _turns(narrow, np.zeros(len(image), np.int64))
    order = np.lexsort((numbers, -similarity, turn, of_class, image))
    lost = np.zeros(len(image), np.int64)
    lost[order[1:]] = (image[order[1:]] == image[order[:-1]]) & (turn[order[1:]] == 0)
    turn = _turns(narrow, lost)
    order = np.lexsort((numbers, -similarity, turn, of_class, image))
    return order, image[order]


def _turns(narrow: pa.Table, lost: IntArray) -> IntArray:
    """Return the turn in which each row's seed may claim its image; 0 for all images it wants.

    Spares are claimed one per turn, so that seeds which find the same images share them. But a seed
    that `lost` (1) wanted rows to other seeds claims as many more spares in the first turn.
    """
    seed = pc.dictionary_encode(narrow["seed_id"].combine_chunks()).indices.to_numpy()
    losses = np.bincount(seed, lost).astype(np.int64)[seed] if len(seed) else lost
    turn = narrow["rank"].to_numpy() - narrow["images_wanted"].to_numpy() + 1
    return np.where(turn > 0, np.maximum(turn - losses, 1), 0)


def _reject(narrow: pa.Table, losers: IntArray, winners: IntArray, rejects: Rejects) -> None:
    ids = _strings(narrow, "id")
    rows = np.argsort(losers)
    lost = ids.take(pa.array(losers[rows])).to_pylist()
    kept = ids.take(pa.array(winners[rows])).to_pylist()
    for row_id, winner in zip(lost, kept, strict=True):
        rejects.filter(row_id, "duplicate_url", f"the same image as {winner}")


def _kept(rows: pads.Dataset, winners: IntArray, seeds: pa.Array) -> Iterator[pa.RecordBatch]:
    """Yield the rows numbered `winners`, in order, with their `seed_ids`."""
    start = 0
    for batch in rows.to_batches():
        low, high = np.searchsorted(winners, [start, start + batch.num_rows])
        chosen = batch.take(pa.array(winners[low:high] - start))
        column = chosen.schema.get_field_index("seed_ids")
        yield chosen.set_column(column, "seed_ids", seeds.slice(low, high - low))
        start += batch.num_rows


def _strings(table: pa.Table, column: str) -> pa.Array:
    return table[column].combine_chunks().cast(pa.string())
