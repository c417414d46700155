"""The image host: serves the collection, including its faults, on 127.0.0.1.

With DEMO_DEAD_LINKS=0.3, that share of the pages is dead, always the same ones. `python -m
demo.host` serves until interrupted; `serving(root)` serves while a `with` statement lasts, in a
process of its own so that it takes no time from its caller's.
"""

import argparse
import contextlib
import errno
import http.client
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from demo.collection import MARKER, PORT, ROOT
from fondant_spec.errors import InputDataError, InvalidConfigError

ADDRESS = "127.0.0.1"
BACKLOG = 1024
PATIENCE = 30  # seconds to wait for a new host, which needs about one


def default_port() -> int:
    """Return the port from the environment variable DEMO_PORT, by default `PORT`."""
    text = os.environ.get("DEMO_PORT", str(PORT))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**16:
        message = f"DEMO_PORT is {text!r}: give a port number from 1 to 65535"
        raise InvalidConfigError(message)
    return int(text)


def dead_links() -> float:
    """Return the share of dead pages from DEMO_DEAD_LINKS, by default 0."""
    text = os.environ.get("DEMO_DEAD_LINKS", "0")
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    message = f"DEMO_DEAD_LINKS is {text!r}: give a share from 0 to 1, such as 0.3"
    raise InvalidConfigError(message)


@contextlib.contextmanager
def serving(root: Path = ROOT, port: int | None = None, dead: float | None = None) -> Iterator[str]:
    """Serve the collection in `root` while the `with` statement lasts.

    This process opens the port itself and hands it to the new one. Hosts of the same collection
    share a port, so that demos can run side by side. The host ends with this process, however that
    ends.

    Args:
        root: a finished collection.
        port: of 127.0.0.1; 0 for any free one, None for `default_port()`.
        dead: the share of dead pages; None for `dead_links()`.

    Yields:
        the base URL, such as "http://127.0.0.1:8642", once the host answers there.

    Raises:
        InputDataError: `root` holds no finished collection.
        InvalidConfigError: the port is in use, for example by the host of another collection.
    """
    dead = dead_links() if dead is None else dead
    with listen(root, default_port() if port is None else port, dead) as listener:
        base_url = "http://{}:{}".format(*listener.getsockname())
        told = ["--fd", str(listener.fileno()), "--dead", str(dead)]
        host = subprocess.Popen(  # noqa: S603 - this very module
            [sys.executable, "-m", __spec__.name, root.resolve(), *told],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            cwd=Path(__file__).parent.parent,
        )
    try:
        with urllib.request.urlopen(f"{base_url}/robots.txt", timeout=PATIENCE):  # noqa: S310
            pass
        yield base_url
    finally:
        host.terminate()
        host.communicate()


def listen(root: Path, port: int, dead: float = 0.0) -> socket.socket:
    """Return a listening socket for the collection in `root`; raises as `serving` does."""
    if not (root / MARKER).is_file():
        message = f"{root} holds no finished collection: run `python -m demo` first"
        raise InputDataError(message)
    listener = socket.socket()
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        listener.bind((ADDRESS, port))
        taken = port and _served_at(port) not in (None, _mark(root, dead))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        taken = True
    if taken:
        listener.close()
        message = (
            f"something else listens on {ADDRESS}:{port}: stop it, or set DEMO_PORT to a free port"
        )
        raise InvalidConfigError(message)
    listener.listen(BACKLOG)
    return listener


def _served_at(port: int) -> bytes | None:
    """Return the marker of the collection that another host serves there; None if there is none."""
    try:
        url = f"http://{ADDRESS}:{port}/{MARKER}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return bytes(answer.read())
    except (OSError, http.client.HTTPException) as error:
        refused = isinstance(getattr(error, "reason", None), ConnectionRefusedError)
        return None if refused else b""


def _mark(root: Path, dead: float) -> bytes:
    """Return the mark by which hosts that serve the same pages recognise each other."""
    return (root / MARKER).read_bytes() + (f"\n{dead} died".encode() if dead else b"")


def main() -> None:
    """Serve a collection until interrupted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=ROOT)
    parser.add_argument("--port", type=int, help="of 127.0.0.1; default: DEMO_PORT, or 8642")
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--dead", type=float, help="share of dead pages; default: DEMO_DEAD_LINKS")
    arguments = parser.parse_args()
    dead = dead_links() if arguments.dead is None else arguments.dead
    if arguments.fd is None:
        port = default_port() if arguments.port is None else arguments.port
        listener = listen(arguments.root, port, dead)
        print("serving {} on http://{}:{}".format(arguments.root, *listener.getsockname()))
    else:
        listener = socket.socket(fileno=arguments.fd)
    from demo.host_app import run_host  # noqa: PLC0415 - its server takes a while to load

    with contextlib.suppress(KeyboardInterrupt):
        mark = _mark(arguments.root, dead)
        run_host(arguments.root, listener, dead, mark, with_parent=arguments.fd is not None)


if __name__ == "__main__":
    main()
