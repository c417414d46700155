"""What the crash campaign runs: the demo's pipeline over a small web, in many small partitions."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from demo.collection import make_collection
from demo.run import adapt, configure
from demo.seeds import make_seeds
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
"""Fields that no two undisturbed runs have in common."""


@dataclass(frozen=True)
class World:
    """A small web in `root`, on a port of 127.0.0.1."""

    root: Path
    port: int = 8647

    def make(self) -> None:
        """Make what is missing: the pictures, the seed images, the index."""
        from demo.index import build_index  # noqa: PLC0415 - torch loads only where it is needed

        make_collection(self.root, pages=PAGES, port=self.port)
        make_seeds(self.root)
        build_index(self.root)

    def pipeline(self, base: Path) -> Pipeline:
        """Return the demo's pipeline over this web."""
        seeds, index = self.root / "seeds", self.root / "index"
        configs = replace(
            configure({}), BASE_PATH=str(base), DATASET_NAME=str(seeds), INDEX=str(index)
        )
        pipeline = adapt(build(configs))
        for name, word in SETTINGS.items():
            pipeline.override(*name.split(".", 1), word)
        return pipeline


@dataclass(frozen=True)
class Content:
    """What a step made: the ids of its rows in order, the digests of its files, what is broken."""

    ids: list[str]
    digests: dict[str, str]
    problems: list[str]

    @classmethod
    def of(cls, manifest: Manifest) -> "Content":
        """Return what a step made."""
        problems = [str(problem) for problem in validate(manifest)]
        digests = {}
        for file in _files(Path(manifest.folder)):
            digests[str(file.relative_to(manifest.folder))] = _digest(file)
        ids = []
        for partition in manifest.partitions:
            path = Path(manifest.index_location, f"{partition.name}.parquet")
            ids += pq.read_table(path, columns=["id"]).column("id").to_pylist()
        return cls(ids, digests, problems)


def _files(folder: Path) -> Iterator[Path]:
    for place in ("data", "rejects", "output"):
        yield from sorted(path for path in folder.glob(f"{place}/**/*") if path.is_file())


def _digest(file: Path) -> str:
    if file.suffix != ".parquet" or not UNSTEADY & set(pq.read_schema(file).names):
        return "" if file.name == "export.json" else hashlib.sha256(file.read_bytes()).hexdigest()
    table = pq.read_table(file).drop_columns(list(UNSTEADY))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()
