"""`fondant-spec index build | fetch | check | join | serve`: build and use indexes.

FAISS, torch and the web server are imported when a command needs them: this module is part of the
command line, which starts without them.
"""

import argparse
from pathlib import Path
from typing import Final

from fondant_spec.option_values import number, part, port
from fondant_spec.shown_text import tell
from image_toolkit.retrieval.build.index_kinds import KINDS

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
    """Run the parsed sub-command, and return the exit code.

    Raises:
        FondantError: an error that the user can fix.
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


def _build(args: argparse.Namespace) -> int:
    from image_toolkit.retrieval.build.build_command import build  # noqa: PLC0415

    return build(args)


def _fetch(args: argparse.Namespace) -> int:
    from image_toolkit.retrieval.build.fetch_command import fetch  # noqa: PLC0415

    return fetch(args)


def _check(args: argparse.Namespace) -> int:
    from image_toolkit.retrieval.build.check_command import check  # noqa: PLC0415

    return check(args)


def _join(args: argparse.Namespace) -> int:
    from image_toolkit.retrieval.build.join_parts import join_parts  # noqa: PLC0415

    for line in join_parts(args.folder, args.modality):
        tell(line)
    return 0


def _serve(args: argparse.Namespace) -> int:
    from image_toolkit.retrieval.build.serve_command import serve  # noqa: PLC0415

    return serve(args)
