"""`fondant-spec index build | fetch | check | join | serve`: an index to search.

FAISS, torch and the web server load when a command needs them: this module is part of the command
line, which starts without them.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fondant_spec.dataset.disk_space import full_disk_told
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.option_values import number, part, port
from fondant_spec.shown_text import log_to_stderr, tell
from image_toolkit.retrieval.build.index_kinds import KINDS
from image_toolkit.retrieval.hub.index_reference import on_hub

if TYPE_CHECKING:
    from image_toolkit.retrieval.build.vector_sources import VectorSource
    from image_toolkit.retrieval.search.hits import IndexInfo
    from image_toolkit.retrieval.search.index_folder import IndexFolder
    from image_toolkit.retrieval.search.query_encoders import QueryEncoders

_NAMED: Final = 10
_ON_HUB: Final = "one on the hub: hf://datasets/OWNER/NAME[@REVISION][/FOLDER], or its short name"


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `index` to the commands of `fondant-spec`."""
    parser = commands.add_parser("index", help="build, fetch, check, join or serve an index")
    parser.set_defaults(command=run)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_build(commands.add_parser("build", help="build an index of vectors or of images"))
    _add_fetch(commands.add_parser("fetch", help="fetch an index of the hub, or say what it takes"))
    _add_check(commands.add_parser("check", help="check and describe an index"))
    _add_join(commands.add_parser("join", help="have several indexes searched as one"))
    _add_serve(commands.add_parser("serve", help="serve an index, or those of a listing"))


def run(args: argparse.Namespace) -> int:
    """Run the sub-command that was parsed, and return the exit code.

    Raises:
        FondantError: something that the user can put right.
    """
    return int(args.index_command(args))


def _add_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        help="Parquet files with vectors, a clip-retrieval folder or .npy file, DataComp's .npz "
        "and Parquet pairs, a manifest, or a folder of images (with --model-id); vectors also on "
        "the hub, as hf://datasets/OWNER/NAME[@REVISION][/FOLDER]",
    )
    parser.add_argument("output", type=Path, help="the folder to make")
    parser.add_argument("--metadata", type=Path, help="folder of the metadata of .npy files")
    parser.add_argument("--vectors", help="the Parquet column, field or .npz key with the vectors")
    parser.add_argument("--modality", default="image", choices=["image", "text"])
    parser.add_argument("--model-id", help="the CLIP model of the vectors, or for the images")
    parser.add_argument("--revision", help="the model's commit, branch or tag")
    parser.add_argument("--url-prefix", help="the address at which the folder of images is served")
    parser.add_argument("--kind", choices=KINDS, help="default: by the rows and the memory")
    parser.add_argument(
        "--memory-gb", type=number(0.001, 1e6), default=4, help="for building and serving"
    )
    parser.add_argument("--target-recall", type=number(0, 1), default=0.95, help="default: 0.95")
    parser.add_argument(
        "--part", type=part, metavar="K/N", help="only part K of N of the source; see `index join`"
    )
    parser.add_argument("--name", default="index", help="the index's name for a service")
    parser.add_argument(
        "--lists-on-disk",
        action="store_true",
        help="map the lists of ivf_pq, though they would fit",
    )
    parser.add_argument("--keep-vectors", action="store_true", help="keep them as img_emb/*.npy")
    parser.set_defaults(index_command=_build)


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", help=_ON_HUB)
    parser.add_argument("--modality", default="image", choices=["image", "text"])
    parser.add_argument("--dry-run", action="store_true", help="only say what it takes")
    parser.set_defaults(index_command=_fetch)


def _add_check(parser: argparse.ArgumentParser) -> None:
    _add_location(parser)
    parser.add_argument(
        "--model",
        help="a CLIP model; some of the index's own images or captions must find themselves",
    )
    parser.add_argument("--revision", help="the model's commit, branch or tag")
    parser.add_argument(
        "--allow-private-hosts", action="store_true", help="fetch images from this network, too"
    )
    parser.set_defaults(index_command=_check)


def _add_join(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="a folder of folders, each of them an index")
    parser.add_argument("--modality", default="image", choices=["image", "text"])
    parser.set_defaults(index_command=_join)


def _add_serve(parser: argparse.ArgumentParser) -> None:
    _add_location(parser)
    parser.add_argument("--name", help="its name; default: the one given, or that of the folder")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    parser.add_argument("--port", type=port, default=1234, help="default: 1234")
    parser.add_argument("--model-id", help="a CLIP model, to answer queries by text and image")
    parser.add_argument("--revision", help="the model's commit, branch or tag")
    parser.add_argument("--aesthetic-embeddings", type=Path, help="folder of rating0..9.npy")
    parser.set_defaults(index_command=_serve)


def _add_location(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("index", help=f"the folder or file of the index, or {_ON_HUB}")
    parser.add_argument(
        "--indice-name", help="which index of a listing, such as indices_paths.json"
    )
    parser.add_argument("--modality", default="image", choices=["image", "text"])
    parser.add_argument("--metadata", type=Path, help="folder of the metadata, if it is elsewhere")
    parser.add_argument("--faiss-options", help="such as nprobe=64")


def _location(args: argparse.Namespace) -> "IndexFolder":
    from image_toolkit.retrieval.hub.locate_index import locate_index  # noqa: PLC0415

    return locate_index(
        args.index, args.indice_name, args.modality, args.metadata, args.faiss_options
    )


def _fetch(args: argparse.Namespace) -> int:
    from image_toolkit.retrieval.hub.find_index import fetch_index, find_index  # noqa: PLC0415
    from image_toolkit.retrieval.hub.known_indexes import (  # noqa: PLC0415
        KNOWN_INDEXES,
        full_location,
    )

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


def _build(args: argparse.Namespace) -> int:
    from image_toolkit.retrieval.build.build_estimate import BuildEstimate  # noqa: PLC0415
    from image_toolkit.retrieval.build.build_index import BuildOptions, build_index  # noqa: PLC0415

    log_to_stderr()  # what is kept of a stopped build, and how far this one is
    options = BuildOptions(
        kind=args.kind,
        memory_gb=args.memory_gb,
        target_recall=args.target_recall,
        name=args.name,
        model_id=args.model_id,
        revision=args.revision,
        keep_vectors=args.keep_vectors,
        lists_on_disk=args.lists_on_disk,
    )
    source = _source(args)
    if args.part is not None:
        source = source.part(*args.part)
    kind = options.kind_of(len(source), source.dimension)
    for line in BuildEstimate(kind, options.memory_bytes).lines():
        tell(line)
    with full_disk_told(str(args.output)):
        built = build_index(source, args.output, options)
    left_out = f", {built.left_out} without a usable vector left out" if built.left_out else ""
    tell(f"{args.output}: {built.kind.name}, {built.rows} rows{left_out}, {built.seconds:.1f} s")
    if built.left_out:
        _tell_left_out(args.output, built.left_out)
    for measured in built.measurements:
        tell(
            f"  {measured.options or 'exact':14} recall@10 {measured.recall:.4f}"
            f"  {measured.rate:8.0f} queries/s"
        )
    if not built.measurements:
        tell("  too few rows to hold some out and measure recall")
    return 0


def _tell_left_out(folder: Path, count: int) -> None:
    from image_toolkit.retrieval.build.staging import left_out_rows  # noqa: PLC0415

    for name in left_out_rows(folder, _NAMED):
        tell(f"  left out: {name}")
    more = f"{count - _NAMED} more; " if count > _NAMED else ""
    tell(f"  {more}the rows left out are listed in {folder / 'left_out'}")


def _source(args: argparse.Namespace) -> "VectorSource":
    place = _source_folder(args)
    if place.is_dir() and not _has_vectors(place):
        if args.model_id is None:
            msg = f"{place} holds no vectors; to embed its images, name a --model-id."
            raise InvalidArgumentError(msg)
        from image_toolkit.retrieval.build.image_source import ImageFolderSource  # noqa: PLC0415

        return ImageFolderSource(place, args.model_id, args.revision, args.url_prefix).open()
    from image_toolkit.retrieval.build.vector_sources import open_source  # noqa: PLC0415

    return open_source(place, metadata=args.metadata, vectors=args.vectors, modality=args.modality)


def _source_folder(args: argparse.Namespace) -> Path:
    """Return where the vectors or images lie, fetched from the hub if they are there."""
    if not on_hub(args.source):
        return Path(args.source)
    from image_toolkit.retrieval.hub.find_index import fetch_embeddings  # noqa: PLC0415

    folder, _ = fetch_embeddings(args.source, args.modality)
    return folder


def _has_vectors(folder: Path) -> bool:
    patterns = ("*.parquet", "*.npy", "*.npz", "manifest.json", "*_emb/*.npy")
    return any(next(folder.glob(pattern), None) for pattern in patterns)


def _join(args: argparse.Namespace) -> int:
    from image_toolkit.retrieval.build.join_parts import join_parts  # noqa: PLC0415

    for line in join_parts(args.folder, args.modality):
        tell(line)
    return 0


def _check(args: argparse.Namespace) -> int:
    from image_toolkit.retrieval.build.check_index import check_index  # noqa: PLC0415

    place = _location(args)
    for line in check_index(place):
        tell(line)
    if args.model is not None:
        _check_model(args, place)
    return 0


def _check_model(args: argparse.Namespace, place: "IndexFolder") -> None:
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


def _serve(args: argparse.Namespace) -> int:
    from aiohttp import web  # noqa: PLC0415

    from image_toolkit.retrieval.service.index_server import Server, make_app  # noqa: PLC0415
    from image_toolkit.served_names import is_loopback  # noqa: PLC0415

    indexes = {name: place.open() for name, place in _places(args).items()}
    encoders = _encoders(args, [index.info for index in indexes.values()])
    server = Server(indexes, args.modality, encoders, args.aesthetic_embeddings)
    if not is_loopback(args.host):
        tell(f"warning: anyone who reaches {args.host} can ask; there is no password.")
    for name, index in indexes.items():
        tell(f"{name}: {index.info.rows} rows at http://{args.host}:{args.port}/knn-service")
    web.run_app(make_app(server, args.host), host=args.host, port=args.port, print=None)
    return 0


def _places(args: argparse.Namespace) -> "dict[str, IndexFolder]":
    """Return where each index lies, by the name it is served under: all that a listing names."""
    from image_toolkit.retrieval.search.index_listing import (  # noqa: PLC0415
        is_listing,
        listed_indexes,
    )

    place = _location(args)
    if not is_listing(place.path):
        return {args.name or args.indice_name or _short_name(place): place}
    names = [args.indice_name] if args.indice_name else listed_indexes(place.path)
    if args.name and len(names) != 1:
        msg = f"--name: {place.path} lists {len(names)} indexes by name; leave it out."
        raise InvalidArgumentError(msg)
    return {args.name or name: replace(place, indice_name=name) for name in names}


def _short_name(place: "IndexFolder") -> str:
    """Return the last part of an index's path or, on the hub, of its repository."""
    name = place.name or str(place.path.resolve())
    return name.partition("@")[0].rpartition("/")[2]


def _encoders(args: argparse.Namespace, infos: Sequence["IndexInfo"]) -> "QueryEncoders | None":
    if args.model_id is None:
        return None
    from image_toolkit.retrieval.search.index_models import check_index_fits  # noqa: PLC0415
    from image_toolkit.retrieval.search.query_encoders import QueryEncoders  # noqa: PLC0415

    encoders = QueryEncoders(args.model_id, args.revision)
    for info in infos:
        check_index_fits(info, encoders.about, args.model_id)
    return encoders
