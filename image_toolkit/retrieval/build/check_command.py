"""`fondant-spec index check`: describe an index, and test it."""

import argparse

from fondant_spec.shown_text import tell
from image_toolkit.retrieval.build.check_index import check_index
from image_toolkit.retrieval.build.index_location import location
from image_toolkit.retrieval.search.index_folder import IndexFolder


def check(args: argparse.Namespace) -> int:
    """Describe an index and, given a model, test whether its own images find themselves."""
    place = location(args)
    for line in check_index(place):
        tell(line)
    if args.model is not None:
        _check_model(args, place)
    return 0


def _check_model(args: argparse.Namespace, place: IndexFolder) -> None:
    from image_toolkit.crawl.access_policy import AccessPolicy  # noqa: PLC0415
    from image_toolkit.retrieval.build.check_model import check_model  # noqa: PLC0415
    from image_toolkit.retrieval.search.query_encoders import QueryEncoders  # noqa: PLC0415

    access = (
        AccessPolicy(allow_private_hosts=True, allowed_ports=())
        if args.allow_private_hosts
        else AccessPolicy()
    )
    encoders = QueryEncoders(args.model, args.revision)
    try:
        for line in check_model(place.open(), encoders, args.model, access):
            tell(line)
    finally:
        encoders.close()
