"""Open an index on disk in any layout, and check that its parts belong together.

Layouts: clip-retrieval's index folder (`image.index` and `metadata/`) and its embeddings folder
(`img_emb/*.npy` and `metadata/`); Fondant's (`faiss` and `id_mapping/`); a JSON file that lists
such folders by name (often called `indices_paths.json`); a FAISS index file or an `.npy` file with
separately named metadata; and Parquet files with a vector column. A `parts.json` lists several
folders in any of these layouts, which are searched as one.
"""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.retrieval.search.cosine_ranking import CosineRanking
from image_toolkit.retrieval.search.exact import ExactSearch
from image_toolkit.retrieval.search.faiss_search import FaissSearch
from image_toolkit.retrieval.search.fingerprint import fingerprint
from image_toolkit.retrieval.search.hits import IndexInfo
from image_toolkit.retrieval.search.index_listing import (
    INDICES_PATHS,
    is_listing,
    listed_folder,
    listed_model,
)
from image_toolkit.retrieval.search.joined_index import join_indexes, listed_parts
from image_toolkit.retrieval.search.local_index import LocalIndex
from image_toolkit.retrieval.search.metadata_rows import Rows
from image_toolkit.retrieval.search.model_identity import ModelIdentity
from image_toolkit.retrieval.search.neighbours import NeighbourSearch
from image_toolkit.retrieval.search.numbered_files import (
    by_number,
    files_by_name,
    is_in_order,
    pair_up,
)
from image_toolkit.retrieval.search.pairing import prove_pairing
from image_toolkit.retrieval.search.vectors import NpyVectors, ParquetVectors, vector_column

logger = logging.getLogger(__name__)

_FONDANT_INDEX: Final = "faiss"
_FONDANT_METADATA: Final = "id_mapping"
_UNIT_LENGTHS: Final = (0.5, 1.2)
"""Lengths of unit vectors after any usual quantisation; unnormalised CLIP vectors are near 10."""

_EMBEDDING_FOLDERS: Final = {"image": "img_emb", "text": "text_emb"}


@dataclass(frozen=True)
class IndexFolder:
    """Where an index is and how to read it.

    Args:
        path: A folder or file in one of the layouts above.
        indice_name: Which index of a listing; None if it lists only one.
        modality: `image` or `text`: the vectors to search.
        metadata: A folder of Parquet or Arrow files, one row per vector, if the layout has none.
        faiss_options: Such as `nprobe=64`; None keeps those saved in the index.
        name: The name of the index, with its commit if it is from the hub; None uses its path.
        model_id: The CLIP model of its vectors, if the layout does not state it.
    """

    path: Path
    indice_name: str | None = None
    modality: str = "image"
    metadata: Path | None = None
    faiss_options: str | None = None
    name: str | None = None
    model_id: str | None = None

    def open(self) -> LocalIndex:
        """Open the index, after checking that its vectors and its metadata belong together.

        Raises:
            InputDataError: there is no index here, or its parts do not match.
        """
        if parts := self.parts():
            return join_indexes([part.open() for part in parts], self.name or str(self.path))
        folder, model_id = self._resolve()
        search, vector_files, columns = self._neighbour_search(folder)
        metadata_files = self.metadata_files(folder, vector_files)
        rows = Rows(metadata_files)
        _check_files(folder, vector_files, metadata_files)
        if len(rows) != search.rows:
            msg = (
                f"{folder}: {search.rows} vectors, but {len(rows)} rows of metadata in "
                f"{metadata_files[0].parent}. They must be of the same data, row for row."
            )
            raise InputDataError(msg)
        files = dict.fromkeys([*vector_files, *metadata_files])
        info = IndexInfo(
            location=self.name or str(self.path),
            fingerprint=fingerprint(files),
            dimension=search.dimension,
            rows=search.rows,
            model=ModelIdentity.of_index(model_id or self.model_id, self._about(folder)),
            columns=tuple(name for name in rows.columns if name not in columns),
        )
        index = LocalIndex(info, search, rows)
        if not isinstance(search, ExactSearch) and not is_in_order(metadata_files):
            self._check_order(index, metadata_files[0].parent)
        return index

    def parts(self) -> list["IndexFolder"]:
        """Return the parts of an index that consists of several folders; empty for any other.

        Raises:
            InputDataError: its list of parts cannot be read.
            InvalidArgumentError: `metadata` is given, although each part has its own.
        """
        parts = listed_parts(self.path)
        if parts and self.metadata is not None:
            msg = f"metadata: the parts of {self.path} have their own; leave it out."
            raise InvalidArgumentError(msg)
        return [replace(self, path=part, indice_name=None, name=None) for part in parts]

    def vectors_beside(self) -> list[Path]:
        """Return the `.npy` files beside an index, in its order; empty if there are none.

        Raises:
            InputDataError: it is not clear which of them belongs to which metadata file.
        """
        if parts := self.parts():
            beside = [part.vectors_beside() for part in parts]
            return [file for files in beside for file in files] if all(beside) else []
        folder, _ = self._resolve()
        inside = folder / _EMBEDDING_FOLDERS[self.modality]
        files = files_by_name(inside, "*.npy") if inside.is_dir() else []
        if not files or not (folder / f"{self.modality}.index").exists():
            return files
        return pair_up(self._metadata_by_name(folder), files)

    def _check_order(self, index: LocalIndex, metadata: Path) -> None:
        """Prove that file names sort in the order of the index, or warn that it is unproven."""
        if files := self.vectors_beside():
            prove_pairing(index, files)
            return
        logger.warning(
            "%s: the files are read in the order of clip-retrieval, that of their names (_10 "
            "before _2). If another program built the index, in the order of the numbers, every "
            "row has the metadata of another; to have that checked, put the vectors beside the "
            "index, as %s/*.npy.",
            metadata,
            _EMBEDDING_FOLDERS[self.modality],
        )

    def _resolve(self) -> tuple[Path, str | None]:
        """Return the folder or file with the vectors, and their model."""
        if not self.path.exists():
            msg = f"index: there is no {self.path}."
            raise InputDataError(msg)
        if is_listing(self.path):
            return listed_folder(self.path, self.indice_name)
        for listing in (self.path / INDICES_PATHS, self.path.parent / INDICES_PATHS):
            if listing.is_file():
                return self.path, listed_model(listing, self.path)
        return self.path, None

    def _about(self, folder: Path) -> dict[str, Any]:
        """Return what `fondant-spec index build` noted about an index; empty for others."""
        try:
            about = json.loads((folder / f"{self.modality}.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return about if isinstance(about, dict) else {}

    def _neighbour_search(self, folder: Path) -> tuple[NeighbourSearch, list[Path], list[str]]:
        """Return the search, the files that it reads, and which of their columns are vectors."""
        if index := self._faiss_index(folder):
            files = sorted(index.iterdir()) if index.is_dir() else [index]
            return _cosine_search(index, self.faiss_options), files, []
        if self.faiss_options is not None:
            msg = f"faiss_options: {folder} is searched exactly; leave them out."
            raise InvalidArgumentError(msg)
        if files := self.npy_files(folder):
            return ExactSearch(NpyVectors(files)), files, []
        if files := self.parquet_files(folder):
            column = vector_column(files[0], Rows(files[:1]).schema)
            return ExactSearch(ParquetVectors(files, column)), files, [column]
        msg = (
            f"index: {folder} has no {self.modality}.index, no {_FONDANT_INDEX} with "
            f"{_FONDANT_METADATA}/, no {_EMBEDDING_FOLDERS[self.modality]}/*.npy and no Parquet "
            f"files with vectors."
        )
        raise InputDataError(msg)

    def _faiss_index(self, folder: Path) -> Path | None:
        """Return the FAISS index in `folder`, or `folder` itself if it is one; else None."""
        if folder.is_file():
            return folder if folder.suffix == ".index" else None
        of_fondant = folder / _FONDANT_INDEX
        if of_fondant.is_file() and (folder / _FONDANT_METADATA).is_dir():
            return of_fondant
        index = folder / f"{self.modality}.index"
        return index if index.exists() else None

    def npy_files(self, folder: Path) -> list[Path]:
        """Return the `.npy` files in `folder`, or `folder` itself if it is one."""
        if folder.is_file():
            return [folder] if folder.suffix == ".npy" else []
        embeddings = folder / _EMBEDDING_FOLDERS[self.modality]
        return files_by_name(embeddings if embeddings.is_dir() else folder, "*.npy")

    def parquet_files(self, folder: Path) -> list[Path]:
        """Return the Parquet files in `folder`, or `folder` itself if it is one."""
        if folder.is_file():
            return [folder] if folder.suffix == ".parquet" else []
        return files_by_name(folder, "*.parquet")

    def metadata_files(self, folder: Path, vector_files: list[Path]) -> list[Path]:
        """Return the metadata files of the vectors, in the order of the vectors.

        Raises:
            InputDataError: there are none, or it is not clear which belongs to which vectors.
        """
        if self.metadata is None and vector_files[0].suffix == ".parquet":
            return vector_files
        files = self._metadata_by_name(folder)
        one_by_one = vector_files[0].suffix in (".npy", ".parquet")
        return pair_up(vector_files, files) if one_by_one else files

    def _metadata_by_name(self, folder: Path) -> list[Path]:
        inside = folder / "metadata"
        metadata = self.metadata or (inside if inside.is_dir() else folder.parent / "metadata")
        if metadata.is_file():
            return [metadata]
        if self.metadata is None and (folder / _FONDANT_INDEX).is_file():  # by Dask
            return by_number(files_by_name(folder / _FONDANT_METADATA, "*.parquet"))
        files = files_by_name(metadata, "*.parquet") or files_by_name(metadata, "*.arrow")
        if not files:
            msg = (
                f"{metadata}: has no Parquet or Arrow files, so the hits would have no URLs. Name "
                f"the folder of the index's metadata with `metadata`. (HDF5 is not read, since it "
                f"does not say whether its rows were re-ordered; convert it.)"
            )
            raise InputDataError(msg)
        return files


def _cosine_search(index: Path, options: str | None) -> NeighbourSearch:
    """Return a FAISS search that yields cosines, whatever the lengths of its vectors."""
    search = FaissSearch(index, options)
    length = search.typical_length()
    if length is None:
        logger.warning(
            "%s: gives no vectors back, so it is not known whether its similarities are cosines; "
            "they are if it was built of vectors of length 1",
            index,
        )
        return search
    if _UNIT_LENGTHS[0] <= length <= _UNIT_LENGTHS[1]:
        if not search.finds_zeros():
            return search
        logger.warning(
            "%s: some of its vectors are zeros, which a search by distance finds whatever is asked "
            "for; hits are ranked anew by cosine",
            index,
        )
        return CosineRanking(search, 1)
    logger.warning(
        "%s: its vectors have a typical length of %.3g, not 1; hits are ranked anew by cosine",
        index,
        length,
    )
    return CosineRanking(search, length)


def _check_files(folder: Path, vector_files: list[Path], metadata_files: list[Path]) -> None:
    """Refuse `.npy` files with other numbers of rows than the metadata files beside them."""
    if vector_files[0].suffix != ".npy" or len(vector_files) != len(metadata_files):
        return
    counts = zip(NpyVectors(vector_files).file_rows, Rows(metadata_files).file_rows, strict=True)
    for vectors, metadata, (count, rows) in zip(vector_files, metadata_files, counts, strict=True):
        if count != rows:
            msg = (
                f"{folder}: {vectors.name} has {count} vectors, but {metadata.name} has {rows} "
                f"rows. They must be of the same data, row for row."
            )
            raise InputDataError(msg)
