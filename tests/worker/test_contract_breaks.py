"""Components that each break the contract in one way, or do what is easily done wrong."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import CardinalityError, InvalidComponentError
from fondant_spec.testing import run_component
from fondant_spec.worker.component_code import component_class
from tests.small import dataset

HEAD = """
import pyarrow as pa
from fondant_spec.component import ArrowTransformComponent, StreamTransformComponent, WriteComponent
"""
EXPLODES = """
name: Splits
description: Makes a row of each row.
image: example/splits:dev
cardinality: explodes
previous_index: seed
consumes: {number: {type: int64}}
produces: {copy: {type: int64}}
"""
WRITES = """
name: Writes
description: Writes nothing.
image: example/writes:dev
consumes: {number: {type: int64}}
"""
COPY = """
        rows = batch.to_pylist()
        return pa.record_batch({
            "copy": [row["number"] for row in rows], "seed": [row["id"] for row in rows],
        })
"""
REJECTING = (
    HEAD
    + """
class Splits(ArrowTransformComponent):
    def transform(self, batch, context):
        for row_id in %s:
            context.rejects.add(row_id, "bad")
"""
    + COPY
)
WRITING = (
    HEAD
    + """
class Writes(WriteComponent):
    def write(self, batches, context):
        for batch in batches:
            pass
        for row_id in %s:
            context.rejects.add(row_id, "bad")
        return []
"""
)
GATHERING = (
    HEAD
    + """
class Splits(StreamTransformComponent):
    gathers = True
    seen = 0
    def transform_batches(self, batches, context):
        for batch in batches:
            self.seen = 1
            yield self.copy(batch)
    def copy(self, batch):
"""
    + COPY
    + """
    def field_metadata(self):
        return {"copy": {"seen": self.seen}}
"""
)
LOADS = """
name: Loads
description: Makes rows.
image: example/loads:dev
produces: {number: {type: int64}}
"""
FORGETFUL = {
    "ArrowTransformComponent": (EXPLODES, "transform", "NoneType where record batches are due"),
    "PandasTransformComponent": (EXPLODES, "transform", "NoneType and no frame"),
    "StreamTransformComponent": (EXPLODES, "transform_batches", "NoneType where record batches"),
    "LoadComponent": (LOADS, "load", "NoneType where record batches are due"),
    "WriteComponent": (WRITES, "write", "`write` returned None, which is no list of texts"),
}
OTHERWISE = {
    "a frame": ("PandasTransformComponent", "[frame]", "list and no frame"),
    "a table": ("ArrowTransformComponent", "pa.table({'copy': [1]})", "a Table where record batch"),
    "a row": ("LoadComponent", "[{'number': 1}]", "a dict where record batches are due"),
    "a path": ("WriteComponent", "'out.txt'", "`write` returned 'out.txt', which is no list"),
}
ABSTRACT = (
    HEAD
    + """
from abc import abstractmethod
class Base(ArrowTransformComponent):
    @abstractmethod
    def number(self): ...
class Own(Base):
    def number(self): return 1
    def transform(self, batch, context): return batch
"""
)


def component(folder: Path, spec: str, main: str) -> Path:
    """Write a component, and return its folder."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").write_text(main)
    (folder / "fondant_component.yaml").write_text(spec)
    return folder


@pytest.mark.parametrize(("spec", "main"), [(EXPLODES, REJECTING), (WRITES, WRITING)])
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["nobody"], "rejected id 'nobody', which it was not given"),
        (["000000000000", "000000000000"], "rejected row '000000000000' more than once"),
    ],
)
def test_rejects_that_are_none(tmp_path, spec, main, ids, message):
    """A reject of no row, or a second one of a row, would distort the share of failures."""
    folder = component(tmp_path / "own", spec, main % ids)
    table = pa.table({"number": [1, 2, 3]})
    with pytest.raises(CardinalityError, match=message):
        run_component(folder, table, tmp_path, options={"max_reject_share": "1.0"})


@pytest.mark.parametrize("base", FORGETFUL)
def test_a_method_that_returns_nothing(tmp_path, base):
    """A forgotten `return` or `yield` is told in a sentence."""
    spec, method, message = FORGETFUL[base]
    main = f"from fondant_spec.component import {base}\nclass Own({base}):\n"
    main += f"    def {method}(self, *given):\n        pass\n"
    folder = component(tmp_path / "own", spec, main)
    with pytest.raises(CardinalityError, match=message):
        run_component(folder, given_to(spec), tmp_path)


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_method_that_returns_another_thing(tmp_path, name):
    """What is nearly right is told in a sentence, too."""
    base, value, message = OTHERWISE[name]
    spec, method, _ = FORGETFUL[base]
    main = f"import pyarrow as pa\nfrom fondant_spec.component import {base}\n"
    main += f"class Own({base}):\n    def {method}(self, *given):\n"
    main += f"        frame = given[0]\n        return {value}\n"
    folder = component(tmp_path / "own", spec, main)
    with pytest.raises(CardinalityError, match=message):
        run_component(folder, given_to(spec), tmp_path)


def given_to(spec: str) -> pa.Table | None:
    """Return the rows that a component of a spec is given."""
    return pa.table({"number": [1, 2]}) if "consumes" in spec else None


def test_what_made_the_fields_of_a_gather(tmp_path):
    """It is what the partitions say: the component that gathers has seen none of them."""
    folder = component(tmp_path / "own", EXPLODES, GATHERING)
    made = run_component(folder, pa.table({"number": [1, 2]}), tmp_path)
    assert made.manifest.fields["copy"].metadata == {"seen": 1}
    assert made.table["copy"].to_pylist() == [1, 2]


def test_an_abstract_base_is_no_component(tmp_path):
    """Of several classes, the one that can be made is meant."""
    assert component_class(component(tmp_path / "own", EXPLODES, ABSTRACT)).__name__ == "Own"


def test_a_folder_that_is_no_component(tmp_path):
    """It is named in one sentence."""
    with pytest.raises(InvalidComponentError, match=r"it has no src/main\.py"):
        component_class(tmp_path / "nothing")


def test_a_manifest_that_names_no_hashes(tmp_path):
    """One that was written before artifacts had hashes is read all the same."""
    made = dataset(tmp_path, number=[1])
    content = json.loads(Path(made.location).read_text())
    del content["artifact_sha256"]
    Path(made.location).write_text(json.dumps(content))
    assert Manifest.read(made.location) == made
