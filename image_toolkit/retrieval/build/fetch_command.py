"""`fondant-spec index fetch`: download an index from the hub."""

import argparse

from fondant_spec.shown_text import tell
from image_toolkit.retrieval.hub.find_index import fetch_index, find_index
from image_toolkit.retrieval.hub.known_indexes import KNOWN_INDEXES, full_location


def fetch(args: argparse.Namespace) -> int:
    """Show what a download of an index takes, and start it unless it is a dry run."""
    location = full_location(args.index)
    if known := KNOWN_INDEXES.get(args.index):
        tell(f"{args.index}: {known.pedigree}")
        tell(f"  model: {known.model_id}")
    for line in find_index(location, args.modality).describe():
        tell(line)
    if not args.dry_run:
        folder, _ = fetch_index(location, args.modality)
        tell(f"here: {folder}")
    return 0
