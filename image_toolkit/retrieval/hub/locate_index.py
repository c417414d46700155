"""Locate an index on this machine, downloading it first if it is on the hub."""

from pathlib import Path

from image_toolkit.retrieval.hub.index_reference import on_hub
from image_toolkit.retrieval.hub.known_indexes import full_location, known_model
from image_toolkit.retrieval.search.index_folder import IndexFolder


def locate_index(
    index: str,
    indice_name: str | None = None,
    modality: str = "image",
    metadata: str | Path | None = None,
    faiss_options: str | None = None,
) -> IndexFolder:
    """Return an index that can be opened.

    Args:
        index: A path, `hf://datasets/OWNER/NAME[@REVISION][/FOLDER]`, or the short name of a public
            index.
        indice_name: As for `IndexFolder`, like the others.
        modality: From the hub, only what this modality needs is downloaded.
        metadata: A folder.
        faiss_options: Such as `nprobe=64`.

    Raises:
        InputDataError: it cannot be downloaded.
    """
    location = full_location(index)
    beside = None if metadata is None else Path(metadata)
    if not on_hub(location):
        return IndexFolder(Path(location), indice_name, modality, beside, faiss_options)
    from image_toolkit.retrieval.hub.find_index import fetch_index  # noqa: PLC0415 - a second

    folder, reference = fetch_index(location, modality)
    return IndexFolder(
        folder,
        indice_name,
        modality,
        beside,
        faiss_options,
        name=str(reference),
        model_id=known_model(index),
    )
