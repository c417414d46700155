"""`fondant-spec index serve`: answer searches over HTTP."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.shown_text import tell
from image_toolkit.retrieval.build.index_location import location
from image_toolkit.retrieval.search.hits import IndexInfo
from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.search.index_listing import is_listing, listed_indexes
from image_toolkit.retrieval.service.index_server import Server, make_app
from image_toolkit.served_names import is_loopback

if TYPE_CHECKING:
    from image_toolkit.retrieval.search.query_encoders import QueryEncoders


def serve(args: argparse.Namespace) -> int:
    """Serve an index, or those of a listing, until interrupted."""
    indexes = {name: place.open() for name, place in _places(args).items()}
    encoders = _encoders(args, [index.info for index in indexes.values()])
    server = Server(indexes, args.modality, encoders, args.aesthetic_embeddings)
    if not is_loopback(args.host):
        tell(f"warning: anyone who reaches {args.host} can ask; there is no password.")
    for name, index in indexes.items():
        tell(f"{name}: {index.info.rows} rows at http://{args.host}:{args.port}/knn-service")
    web.run_app(make_app(server, args.host), host=args.host, port=args.port, print=None)
    return 0


def _places(args: argparse.Namespace) -> dict[str, IndexFolder]:
    """Return the location of each index by the name it is served under; all those of a listing."""
    place = location(args)
    if not is_listing(place.path):
        return {args.name or args.indice_name or _short_name(place): place}
    names = [args.indice_name] if args.indice_name else listed_indexes(place.path)
    if args.name and len(names) != 1:
        msg = f"--name: {place.path} lists {len(names)} indexes by name; leave it out."
        raise InvalidArgumentError(msg)
    return {args.name or name: replace(place, indice_name=name) for name in names}


def _short_name(place: IndexFolder) -> str:
    """Return the last part of an index's path or, on the hub, of its repository."""
    name = place.name or str(place.path.resolve())
    return name.partition("@")[0].rpartition("/")[2]


def _encoders(args: argparse.Namespace, infos: Sequence[IndexInfo]) -> "QueryEncoders | None":
    if args.model_id is None:
        return None
    from image_toolkit.retrieval.search.index_models import check_index_fits  # noqa: PLC0415
    from image_toolkit.retrieval.search.query_encoders import QueryEncoders  # noqa: PLC0415

    encoders = QueryEncoders(args.model_id, args.revision)
    for info in infos:
        check_index_fits(info, encoders.about, args.model_id)
    return encoders
