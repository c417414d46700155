"""Which files of a repository a search needs, by the layout of the repository."""

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

Layout: TypeAlias = tuple[str, Sequence[str]]
"""The pattern that identifies a layout, and the patterns of the files to read."""

_METADATA: Final = ("metadata/*.parquet", "metadata/*.arrow")

_INDEXES: Final = ("*/{modality}.index", "*/{modality}.index/*", "*/{short}_emb/*.npy")
_PARTS: Final = (
    *("parts.json", *_INDEXES, "*/{modality}.json", "*/indices_paths.json"),
    *(f"*/{files}" for files in _METADATA),
)

SEARCHED: Final[Sequence[Layout]] = (
    ("parts.json", _PARTS),
    ("{modality}.index", ("{modality}.index", *_METADATA, "indices_paths.json")),
    ("{modality}.index/*", ("{modality}.index/*", *_METADATA, "indices_paths.json")),
    ("faiss", ("faiss", "id_mapping/*.parquet")),
    ("{short}_emb/*.npy", ("{short}_emb/*.npy", *_METADATA, "indices_paths.json")),
    ("*.parquet", ("*.parquet",)),
)
"""The layouts that can be searched: an index first, plain vectors last.

In order: several folders as one; clip-retrieval's index as a file, and as a folder; Fondant's;
clip-retrieval's embeddings; and Parquet files with a vector column.
"""

EMBEDDINGS: Final[Sequence[Layout]] = (
    ("*.npz", ("*.npz", "*.parquet")),
    *SEARCHED[-2:],
)
"""The layouts that an index can be built from: DataComp's pairs first."""

_SHORT: Final = {"image": "img", "text": "text"}


def needed_files(
    sizes: Mapping[str, int], layouts: Sequence[Layout], modality: str
) -> Mapping[str, int]:
    """Return the files in `sizes` that are needed, with their sizes in bytes.

    Names are relative to the folder of the index. Empty if no layout fits.
    """
    names = {"modality": modality, "short": _SHORT[modality]}
    for sign, patterns in layouts:
        if _matching(sizes, [sign.format(**names)]):
            wanted = _matching(sizes, [pattern.format(**names) for pattern in patterns])
            return {name: sizes[name] for name in wanted}
    return {}


def _matching(names: Collection[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that match a pattern; a star does not match across folders."""
    return [
        name
        for name in sorted(names)
        if any(
            fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")
            for pattern in patterns
        )
    ]
