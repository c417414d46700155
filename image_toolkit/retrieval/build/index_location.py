"""The location of the index that a command line names."""

import argparse

from image_toolkit.retrieval.hub.locate_index import locate_index
from image_toolkit.retrieval.search.index_folder import IndexFolder


def location(args: argparse.Namespace) -> IndexFolder:
    """Return the index given to a command: a folder or file, or one on the hub.

    Raises:
        FondantError: as `locate_index`.
    """
    return locate_index(
        args.index, args.indice_name, args.modality, args.metadata, args.faiss_options
    )
