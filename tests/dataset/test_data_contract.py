"""The data contract: the framework's output for the same component code and the same input.

Cache keys include the component's code but not the framework's, so a change to what the framework
writes must raise the contract's version, or old results would pass for new ones.
"""

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq

from fondant_spec.dataset.code_digest import DATA_CONTRACT
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.pipeline.graph import Pipeline
from tests.small import COMPONENTS, run_here

GOLDEN = {
    "numbers": "2cbef96eaca2fb26",
    "keep_even": "67f1791ea06348ef",
    "double": "9421853cdbde1fea",
    "repeat": "2ba5a6018fef00b5",
}
"""What each step wrote under contract 1."""


def digest(manifest: Manifest) -> str:
    """Return the digest of all that a step wrote, less what the version of pyarrow decides.

    That is the rows, ids and types in each of its files, in their order, and the names of these.
    """
    told = []
    for folder in (manifest.data_location, manifest.rejects_location):
        for file in sorted(Path(folder).rglob("*.parquet")):
            table = pq.read_table(file)
            types = [(field.name, str(field.type), field.nullable) for field in table.schema]
            told.append((file.relative_to(manifest.folder).as_posix(), types, table.to_pylist()))
    partitions = [(partition.name, partition.rows) for partition in manifest.partitions]
    fields = {name: str(field.type) for name, field in manifest.fields.items()}
    text = json.dumps([partitions, fields, dict(manifest.rejects), told], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_what_is_written_is_what_the_contract_says(tmp_path):
    """A load, a filter, a map with rejects and an explode write rows, ids, types and files as ever.

    Where this fails, rows or bytes changed: raise DATA_CONTRACT, and renew the golden digests.
    """
    pipeline = Pipeline("contract", tmp_path)
    numbers = pipeline.add(
        COMPONENTS / "numbers", arguments={"rows": 14, "skip": [3, 8]}, rows_per_partition=4
    )
    even = pipeline.add(COMPONENTS / "keep_even", after=numbers, workers=1)
    odd = {"reject_odd": True}
    double = pipeline.add(COMPONENTS / "double", after=numbers, arguments=odd, workers=1)
    pipeline.add(COMPONENTS / "repeat", after=[even, double], workers=1)
    made = {manifest.step_id: digest(manifest) for manifest in run_here(pipeline.plan("run"))}
    assert (DATA_CONTRACT, made) == (1, GOLDEN), (
        "rows or bytes changed: raise DATA_CONTRACT and renew the golden digests"
    )
