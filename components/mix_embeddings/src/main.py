"""Combines several seeds into one by a weighted sum of their vectors."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from mixes import mixed

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.errors import InputDataError
from fondant_spec.executor import execute
from image_toolkit.retrieval.search.seeds import read_seeds


class MixEmbeddings(StreamTransformComponent):
    """Sums the vectors of each mix. The seeds of a mix may come from images and from prompts."""

    gathers = True

    def setup(self, context: SetupContext) -> None:
        """Record which model made the vectors."""
        self._made_by = context.input_fields["embedding"].metadata

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return which model made the vectors; mixing does not change it."""
        return {"embedding": self._made_by}

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield each seed as a mix of its own; `gather` combines them."""
        made_by = context.input_fields["embedding"].metadata
        for name in ("model_id", "revision", "dimension"):
            ours, theirs = self._made_by.get(name), made_by.get(name)
            if ours != theirs:
                msg = (
                    f"mix_embeddings: vectors of two models cannot be mixed: {name} is {ours} of "
                    f"some seeds and {theirs} of others; embed all with one model."
                )
                raise InputDataError(msg)
        for batch in batches:
            yield _as_mixes(batch, made_by.get("dimension"), context)

    def gather(self, rows: pads.Dataset, context: RowContext) -> Iterator[pa.RecordBatch]:
        """Yield one row for each mix, and for each seed without one."""
        yield from mixed(rows.to_table(), context.rejects).to_batches()


def _as_mixes(batch: pa.RecordBatch, dimension: int | None, context: RowContext) -> pa.RecordBatch:
    ids, vectors = read_seeds(batch, dimension, context.rejects)
    sound = pc.is_in(batch.column("id"), value_set=ids)
    one_each = pa.array(range(len(ids) + 1), pa.int32())
    weights = pc.fill_null(_column(batch, "weight", pa.float32()), 1.0).filter(sound)
    return pa.RecordBatch.from_pydict(
        {
            "embedding": pa.array(list(vectors), pa.list_(pa.float32())),
            "seed_id": ids,
            "mix": _column(batch, "mix", pa.string()).filter(sound),
            "mixed_ids": pa.ListArray.from_arrays(one_each, ids),
            "mixed_weights": pa.ListArray.from_arrays(one_each, weights),
        }
    )


def _column(batch: pa.RecordBatch, name: str, data_type: pa.DataType) -> pa.Array:
    """Return a field that the seeds may lack."""
    there = name in batch.schema.names
    return batch.column(name).cast(data_type) if there else pa.nulls(len(batch), data_type)


if __name__ == "__main__":
    execute(MixEmbeddings)
