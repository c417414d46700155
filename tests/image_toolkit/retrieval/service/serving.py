"""An index served on loopback, in a thread of the test's own process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from image_toolkit.retrieval.search.index_folder import IndexFolder
from image_toolkit.retrieval.service.index_server import Server, make_app
from image_toolkit.retrieval.service.request_bounds import RequestBounds


@contextmanager
def serve_index(
    folder: Path, name: str = "small", bounds: RequestBounds | None = None, **settings: Any
) -> Iterator[str]:
    """Serve the index in `folder` under `name`, and yield the address."""
    server = Server({name: IndexFolder(folder).open()}, **settings)
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(make_app(server, "127.0.0.1", bounds))
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    port = runner.addresses[0][1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
