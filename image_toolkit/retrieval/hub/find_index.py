"""Find an index on the hub: its newest commit, and the files that are needed.

Without a connection, a complete earlier download is used, with a warning.
"""

import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import EntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile

from fondant_spec.errors import InputDataError
from fondant_spec.plain_words import size
from fondant_spec.temporary import is_temporary
from image_toolkit.hub_errors import hub_failures_told
from image_toolkit.retrieval.hub.hub_index import HubIndex
from image_toolkit.retrieval.hub.index_reference import IndexReference
from image_toolkit.retrieval.hub.needed_files import EMBEDDINGS, SEARCHED, Layout, needed_files

logger = logging.getLogger(__name__)

EXACT_BYTES: Final = 20 << 30
"""The most bytes of vectors to search without an index: each query reads all of them."""

_SECONDS: Final = 30
_NOTES: Final = "fondant_indexes"


def fetch_index(location: str, modality: str = "image") -> tuple[Path, IndexReference]:
    """Download what a search needs of an index; return its folder, and its commit.

    Raises:
        InputDataError: there is no such repository or no index in it; or there is neither a
            connection nor a complete earlier download; or the disk has no room.
    """
    return _fetched(location, SEARCHED, modality)


def fetch_embeddings(location: str, modality: str = "image") -> tuple[Path, IndexReference]:
    """Download what an index can be built from; see `fetch_index`."""
    return _fetched(location, EMBEDDINGS, modality)


def find_index(location: str, modality: str = "image") -> HubIndex:
    """Return what a search needs of an index, as the hub has it now, without downloading it.

    Raises:
        InputDataError: there is no such repository, no index in it, or no connection.
    """
    return _find(IndexReference.parse(location), SEARCHED, modality)


def _fetched(
    location: str, layouts: Sequence[Layout], modality: str
) -> tuple[Path, IndexReference]:
    reference = IndexReference.parse(location)
    note = _note(reference, layouts, modality)
    try:
        found = _find(reference, layouts, modality)
        folder = found.fetch()
    except InputDataError as error:
        if not is_temporary(error) and not isinstance(error.__cause__, OfflineModeIsEnabled):
            raise
        found = _fetched_before(reference, note, error)
        return found.fetch(), found.reference
    _write(note, found)
    return folder, found.reference


def _find(reference: IndexReference, layouts: Sequence[Layout], modality: str) -> HubIndex:
    with hub_failures_told("index", str(reference), reference.revision):
        api = HfApi()
        info = api.dataset_info(reference.repository, revision=reference.revision, timeout=_SECONDS)
        at_commit = replace(reference, revision=info.sha)
        sizes = _sizes(api, at_commit)
    files = needed_files(sizes, layouts, modality)
    if not files:
        held = ", ".join(sorted({name.partition("/")[0] for name in sizes})) or "nothing"
        msg = (
            f"{reference}: is no index: it needs {modality}.index and metadata/, faiss and "
            f"id_mapping/, .npy files in img_emb/ or text_emb/ with metadata/, or Parquet files "
            f"with vectors. It holds: {held}."
        )
        raise InputDataError(msg)
    prefix = f"{reference.folder}/" if reference.folder else ""
    found = HubIndex(at_commit, {prefix + name: size for name, size in files.items()})
    if layouts is SEARCHED:
        _check_vectors(found)
    return found


def _sizes(api: HfApi, reference: IndexReference) -> dict[str, int]:
    """Return the sizes in bytes of the files in the folder, by their names relative to it."""
    repository, folder = reference.repository, reference.folder
    entries = api.list_repo_tree(
        repository,
        folder or None,
        recursive=True,
        revision=reference.revision,
        repo_type="dataset",
    )
    try:
        files = [entry for entry in entries if isinstance(entry, RepoFile)]
    except EntryNotFoundError:
        msg = f"{reference}: the repository has no folder {folder!r}."
        raise InputDataError(msg) from None
    return {file.path[len(folder) :].lstrip("/"): file.size for file in files}


def _check_vectors(found: HubIndex) -> None:
    """Refuse more vectors without an index than can be searched exhaustively."""
    indexed = any(".index" in name or name.endswith("faiss") for name in found.files)
    if indexed or found.size <= EXACT_BYTES:
        return
    msg = (
        f"{found.reference}: {size(found.size)} of vectors without an index are too many to "
        f"be read for each query; make an index of them with `fondant-spec index build "
        f"{found.reference} FOLDER`, and search that."
    )
    raise InputDataError(msg)


def _fetched_before(reference: IndexReference, note: Path, error: InputDataError) -> HubIndex:
    """Return the complete download made when the hub was last reached."""
    if note.is_file():
        noted = json.loads(note.read_text(encoding="utf-8"))
        found = HubIndex(replace(reference, revision=noted["commit"]), noted["files"])
        if not found.missing():
            logger.warning("%s It is taken as it was fetched last: %s", error, found.reference)
            return found
    msg = f"{error} Nor was the index fetched whole before."
    raise InputDataError(msg) from error


def _note(reference: IndexReference, layouts: Sequence[Layout], modality: str) -> Path:
    """Return the file that records a complete download of an index on this machine."""
    purpose = "search" if layouts is SEARCHED else "build"
    name = quote(f"{reference}.{modality}.{purpose}.json", safe="@")
    return Path(constants.HF_HOME, _NOTES, name)


def _write(note: Path, found: HubIndex) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    part = note.with_name(f"{note.name}.{uuid.uuid4().hex}")
    content = {"commit": found.reference.revision, "files": dict(found.files)}
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(note)
