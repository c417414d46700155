"""`fondant-spec index fetch`: bring an index of the hub here."""

import argparse

from fondant_spec.shown_text import tell
from image_toolkit.retrieval.hub.find_index import fetch_index, find_index
from image_toolkit.retrieval.hub.known_indexes import KNOWN_INDEXES, full_location


def fetch(args: argparse.Namespace) -> int:
    """Tell what fetching an index takes, and fetch it unless that is all that is wanted."""
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
