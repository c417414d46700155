"""What the crash tests run: the demo's pipeline over a small web, in many small partitions."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from demo.collection import make_collection
from demo.run import adapt, configure
from demo.seeds import make_seeds
from fondant_spec.dataset import storage
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.validate import validate
from fondant_spec.pipeline.graph import Pipeline
from pipeline import build

PAGES = 240
SETTINGS = {
    "load_from_hub.@rows_per_partition": "4",
    "laion_retrieval.num_images": "6",
    "laion_retrieval.@rows_per_partition": "16",
}
UNSTEADY = {"fetched_at"}
"""Fields that differ between any two undisturbed runs."""


@dataclass(frozen=True)
class World:
    """A small web in `root`, on a port of 127.0.0.1."""

    root: Path
    port: int = 8647

    def make(self) -> None:
        """Make what is missing: images, seed images and index."""
        from demo.index import build_index  # noqa: PLC0415 - torch loads only where it is needed

        make_collection(self.root, pages=PAGES, port=self.port)
        make_seeds(self.root)
        build_index(self.root)

    def pipeline(self, base: str) -> Pipeline:
        """Return the demo's pipeline over this web."""
        seeds, index = self.root / "seeds", self.root / "index"
        configs = replace(configure({}), BASE_PATH=base, DATASET_NAME=str(seeds), INDEX=str(index))
        pipeline = adapt(build(configs))
        for name, word in SETTINGS.items():
            step, argument = name.split(".", 1)
            pipeline.override(step, argument, word)
        return pipeline


@dataclass(frozen=True)
class Content:
    """A step's result: ids of its rows in order, digests of its files, and what is broken."""

    ids: list[str]
    digests: dict[str, str]
    problems: list[str]

    @classmethod
    def of(cls, manifest: Manifest) -> "Content":
        """Return a step's result, from a local folder or a store."""
        problems = [str(problem) for problem in validate(manifest)]
        digests = {name: _digest(name, file) for name, file in _files(manifest.folder)}
        ids = []
        for partition in manifest.partitions:
            path = storage.join(manifest.index_location, f"{partition.name}.parquet")
            ids += pq.read_table(storage.open_input(path), columns=["id"]).column("id").to_pylist()
        return cls(ids, digests, problems)


def _files(folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files that a step wrote, with their names relative to its folder."""
    fs, root = storage.filesystem(folder)
    for place in ("data", "rejects", "output"):
        for path in sorted(fs.find(f"{root}/{place}")):
            yield path.removeprefix(f"{root}/"), fs.cat_file(path)


def _digest(name: str, content: bytes) -> str:
    if name.endswith("/export.json"):  # contains the time of the export
        return ""
    if not name.endswith(".parquet"):
        return hashlib.sha256(content).hexdigest()
    table = pq.read_table(pa.BufferReader(content))
    if not UNSTEADY & set(table.schema.names):
        return hashlib.sha256(content).hexdigest()
    sink = pa.BufferOutputStream()
    steady = table.drop_columns(list(UNSTEADY)).combine_chunks()
    with pa.ipc.new_stream(sink, steady.schema) as stream:
        stream.write_table(steady)
    return hashlib.sha256(sink.getvalue()).hexdigest()
