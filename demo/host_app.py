"""The image host's answers: the collection's files, its faults, and dead pages."""

import asyncio
import json
import socket
import sys
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from demo.collection import MARKER

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".png": "image/png",
    ".webp": "image/webp",
}
NOT_FOUND_PAGE = "<!doctype html><title>404</title><h1>Not found</h1>"
MOVED_PAGE = "<!doctype html><title>Sorry</title><h1>This picture has moved</h1>"
OPT_OUT = {"X-Robots-Tag": "noai, noimageai"}


def _has_died(path: str, dead: float) -> bool:
    """Return whether a page is dead; pages dead at one share are also dead at a greater one."""
    return int.from_bytes(sha256(path.encode()).digest()[:4]) < dead * 2**32


def make_app(root: Path, dead: float, mark: bytes) -> web.Application:
    """Return the host as an application with a share `dead` of dead pages.

    It serves only the paths listed when it started, so no request can name another file; and the
    mark, by which hosts of the same collection recognise each other.
    """
    folder = root / "web"
    files = {f"/{path.relative_to(folder)}": path for path in folder.rglob("*.*")}
    files = {path: file for path, file in files.items() if not _has_died(path, dead)}
    faults = {
        f"/{path}": fault for path, fault in json.loads((root / "faults.json").read_text()).items()
    }

    async def answer(request: web.Request) -> web.Response:
        fault = faults.get(request.path, {})
        kind = fault.get("kind")
        if kind == "redirect":
            return web.Response(status=302, headers={"Location": f"/{fault['to']}"})
        if kind == "server_error":
            return web.Response(status=500, text="out of order")
        if kind == "html":
            return web.Response(text=MOVED_PAGE, content_type="text/html")
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nAllow: /\n")
        path = files.get(request.path)
        if path is None:
            return web.Response(status=404, text=NOT_FOUND_PAGE, content_type="text/html")
        return web.Response(
            body=path.read_bytes(),
            content_type=CONTENT_TYPES[path.suffix],
            headers=OPT_OUT if kind == "opted_out" else None,
        )

    async def answer_mark(_request: web.Request) -> web.Response:
        return web.Response(body=mark)

    app = web.Application()
    app.router.add_get(f"/{MARKER}", answer_mark)
    app.router.add_get("/{path:.*}", answer)
    return app


def run_host(
    root: Path, listener: socket.socket, dead: float, mark: bytes, *, with_parent: bool
) -> None:
    """Serve on `listener` forever, or with the parent: until standard input closes."""
    asyncio.run(_serve(make_app(root, dead, mark), listener, with_parent=with_parent))


async def _serve(app: web.Application, listener: socket.socket, *, with_parent: bool) -> None:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    closed = asyncio.Event()
    if with_parent:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), closed.set)
    await closed.wait()
    await runner.cleanup()
