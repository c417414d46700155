"""`fondant-spec explore PATH`: look at what a pipeline wrote in a browser, and correct it.

The web server and DuckDB load when the command runs: this module is part of the command line, which
starts without them.
"""

import argparse
import getpass
import secrets
import socket

from explorer.extra import need
from fondant_spec.dataset.trust_option import trust
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.shared_options import add_base_path, add_trust
from fondant_spec.shown_text import tell
from image_toolkit.served_names import is_loopback


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `explore` to the commands of `fondant-spec`."""
    parser = commands.add_parser("explore", help="look at datasets in a browser, and correct them")
    parser.add_argument(
        "path",
        nargs="?",
        help="a dataset, step or run, or a base path; else the base path (BASE_PATH, ./artifacts)",
    )
    add_base_path(parser)
    parser.add_argument("--port", type=int, default=0, help="default: one that is free")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which browsers may ask for it; repeatable",
    )
    parser.add_argument(
        "--token",
        help="what the address must hold, beside a random one by default; required where --host is "
        "not of this machine only",
    )
    parser.add_argument("--name", help="who corrects (default: the user's name)")
    parser.add_argument(
        "--clip-model",
        help="the model to compare texts with images by, where the vectors' is no model of the hub",
    )
    parser.add_argument("--read-only", action="store_true", help="take no corrections")
    add_trust(parser)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Serve until somebody ends it, and return the exit code.

    Raises:
        FondantError: something that the user can put right.
    """
    _check(args)
    import uvicorn  # noqa: PLC0415

    from explorer.app import make_app  # noqa: PLC0415
    from explorer.place import find_place  # noqa: PLC0415
    from explorer.site import Site  # noqa: PLC0415

    trust(args.trust)
    place = find_place(args.path or args.base_path, args.base_path)
    site = Site(
        place,
        args.name or getpass.getuser(),
        read_only=args.read_only,
        clip_model=args.clip_model,
    )
    token = args.token or secrets.token_urlsafe(24)
    app = make_app(site, token, [args.host, *args.allow_host])
    with _listening(args.host, args.port) as listener:
        shown = f"[{args.host}]" if ":" in args.host else args.host
        port = listener.getsockname()[1]
        mark = place.address.partition("#")
        # Not told as other lines are, which hide what signs in: this one is to be opened.
        print(f"http://{shown}:{port}{mark[0]}?token={token}{mark[1]}{mark[2]}", flush=True)  # noqa: T201
        tell("open this address in a browser; Ctrl-C ends it")
        config = uvicorn.Config(app, log_level="warning", server_header=False, access_log=False)
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _check(args: argparse.Namespace) -> None:
    need("explore", "duckdb", "jinja2", "starlette", "uvicorn")
    if not is_loopback(args.host) and not args.token:
        msg = f"--host {args.host} lets other machines in; give a --token that only friends know."
        raise InvalidArgumentError(msg)
    if args.token is not None and len(args.token) < 16:  # noqa: PLR2004
        msg = "--token is easily guessed; give one of 16 characters or more."
        raise InvalidArgumentError(msg)


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        InvalidArgumentError: the address cannot be had.
    """
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except (OSError, OverflowError) as error:
        msg = f"cannot listen on {host}:{port}: {error}; name another --port or --host."
        raise InvalidArgumentError(msg) from None
