"""`croissant.json`: a JSON-LD description of an export for search engines and `mlcroissant`.

It follows Croissant 1.1 (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html). It is
derived from the files that a layout has written, so a new layout needs no code here: tables with
caption and image in a row become one record set, image files and caption files one each.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from training_pairs import SUFFIXES

from image_toolkit.publishing.hashed_folder import HashedFolder

FILE: Final = "croissant.json"

_TERMS: Final = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileObject fileProperty "
    "fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet "
    "references regex repeated replace samplingRate separator source subField transform"
)
_CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS.split()},
}
"""The JSON-LD context that the standard prescribes, verbatim."""

_FORMATS: Final = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
    ".jsonl": "application/jsonlines",
    ".parquet": "application/x-parquet",
    ".tar": "application/x-tar",
}
_IMAGES: Final = frozenset(SUFFIXES.values())
_TABLES: Final = (".jsonl", ".parquet")
_STEM: Final = r"^(?:.*/)?([^/.]+)(?:\.[^/]*)?$"


def croissant(
    folder: HashedFolder, metadata: Mapping[str, pa.DataType], licences: Iterable[str]
) -> dict[str, Any]:
    """Describe the folder of a layout; `metadata` are the types of its pairs' metadata."""
    names = folder.below_here()
    sets = _file_sets(names)
    archives = [name for name in names if name.endswith(".tar")]
    tables = [suffix for suffix in _TABLES if suffix in sets]
    if archives:
        kinds = {kind: [f"*{kind}"] for kind in (".jpg", ".txt")}
        files = [_file_set(kind, includes, archives) for kind, includes in kinds.items()]
        records = list(_file_records(kinds))
    else:
        files = [_file_set(kind, includes) for kind, includes in sets.items()]
        records = [_table_records(folder, kind, metadata) for kind in tables]
        records += _file_records(sets) if not tables else []
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": "images-with-captions",
        "description": "Images with captions, to fine-tune a text-to-image model on.",
        "version": "1.0.0",
        **({"license": told} if (told := list(licences)) else {}),
        "distribution": [*(_file_object(folder, name) for name in archives), *files],
        "recordSet": records,
    }


def _file_sets(names: Iterable[str]) -> dict[str, list[str]]:
    """Return glob patterns for the files of pairs, by suffix.

    These files are in the folders of splits, or named after them; all others are settings.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for name in names:
        path = PurePosixPath(name)
        if path.suffix in _FORMATS and path.parts[0].startswith(("train", "validation")):
            pattern = f"*{path.suffix}" if path.suffix not in _TABLES else path.name
            found[path.suffix].add(path.with_name(pattern).as_posix())
    return {suffix: sorted(patterns) for suffix, patterns in sorted(found.items())}


def _file_object(folder: HashedFolder, name: str) -> dict[str, Any]:
    file = folder.below_here()[name]
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": _FORMATS[PurePosixPath(name).suffix],
        "sha256": file.sha256,
    }


def _file_set(kind: str, includes: list[str], inside: Iterable[str] = ()) -> dict[str, Any]:
    held = {"containedIn": [{"@id": name} for name in inside]} if inside else {}
    what = {"@type": "cr:FileSet", "@id": f"files{kind}", "name": f"files{kind}"}
    return {**what, **held, "encodingFormat": _FORMATS[kind], "includes": includes}


def _file_records(sets: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    """Yield the record set of each kind of file; files with the same stem belong together."""
    for kind in sets:
        name, data_type = ("images", "sc:ImageObject") if kind in _IMAGES else ("texts", "sc:Text")
        records, files = f"{name}{kind}", f"files{kind}"
        stem = {"extract": {"fileProperty": "filename"}, "transform": {"regex": _STEM}}
        content = {"extract": {"fileProperty": "content"}}
        fields = [
            _field(records, "stem", "sc:Text", files, stem),
            _field(records, "content", data_type, files, content),
        ]
        yield _record_set(records, fields)


def _table_records(
    folder: HashedFolder, kind: str, metadata: Mapping[str, pa.DataType]
) -> dict[str, Any]:
    """Return the record set of tables: their columns, except lists and structs."""
    names = [name for name in folder.below_here() if name.endswith(kind)]
    fields = []
    for column, found in _columns(folder, names[0]).items():
        arrow_type = metadata.get(column, found)
        source: dict[str, Any] = {"extract": {"column": column}}
        if column == "image":
            source["transform"] = {"jsonPath": "bytes"}
        if data_type := "sc:ImageObject" if column == "image" else _data_type(arrow_type):
            fields.append(_field("pairs", column, data_type, f"files{kind}", source))
    return _record_set("pairs", fields)


def _columns(folder: HashedFolder, name: str) -> dict[str, pa.DataType]:
    """Return the columns of a table; for JSON lines, those of the first line, as text."""
    if name.endswith(".parquet"):
        schema = pq.read_schema(folder.path / name)
        return dict(zip(schema.names, schema.types, strict=True))
    with (folder.path / name).open(encoding="utf-8") as lines:
        return dict.fromkeys(json.loads(next(lines)), pa.string())


def _data_type(kind: pa.DataType) -> str | None:
    """Return Croissant's name of a type; None for nested types."""
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    return "sc:Text" if pa.types.is_string(kind) or pa.types.is_null(kind) else None


def _record_set(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _field(
    records: str, name: str, data_type: str, files: str, source: Mapping[str, Any]
) -> dict[str, Any]:
    identity = {"@type": "cr:Field", "@id": f"{records}/{name}", "name": name}
    return {**identity, "dataType": data_type, "source": {"fileSet": {"@id": files}, **source}}
