"""Which failures are temporary: real ones, from the libraries with which steps reach out."""

import asyncio
import errno
import pickle
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from multiprocessing import get_context
from threading import Thread

import aiohttp
import botocore.config
import botocore.session
import pytest
import requests
from huggingface_hub import HfApi
from huggingface_hub.errors import OfflineModeIsEnabled

from fondant_spec.errors import InputDataError, InvalidArgumentError, StorageError
from fondant_spec.temporary import is_temporary, mark
from image_toolkit.models.runtime.hub import find_model


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Serve one answer for everything on loopback, and yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - the name that the server looks for

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def by_requests(url: str) -> object:
    """Ask as a caption endpoint is asked."""
    return requests.get(url, timeout=2).raise_for_status()


def by_the_hub(url: str) -> object:
    """Ask as for a model."""
    return HfApi(endpoint=url, token=False).model_info("some/model", timeout=2)


def by_urllib(url: str) -> object:
    """Ask with Python's own client."""
    return urllib.request.urlopen(url, timeout=2)


def by_aiohttp(url: str) -> object:
    """Ask as an index is asked."""

    async def ask() -> None:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            answer.raise_for_status()

    return asyncio.run(ask())


def by_botocore(url: str) -> object:
    """Ask as a store is asked."""
    once = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=2)
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    session = botocore.session.get_session()
    client = session.create_client("s3", endpoint_url=url, config=once, **keys)
    return client.get_object(Bucket="b", Key="k")


CLIENTS = [by_requests, by_the_hub, by_urllib, by_aiohttp, by_botocore]


def failure(action: Callable[[str], object], url: str) -> Exception:
    """Return how asking fails, told in place of the library's own error as components do it."""
    with pytest.raises(InputDataError) as caught:
        _told(action, url)
    assert caught.value.__context__ is not None
    return caught.value


def _told(action: Callable[[str], object], url: str) -> None:
    try:
        action(url)
    except Exception:  # noqa: BLE001 - whatever the library raises
        msg = f"{url} failed."
        raise InputDataError(msg) from None


@pytest.mark.parametrize("client", CLIENTS)
def test_answers(client, monkeypatch):
    """What a server says of itself may pass; what it says of the question does not."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for status, expected in ((503, True), (429, True), (404, False), (403, False)):
        with answering(status) as url:
            assert is_temporary(failure(client, url)) is expected, status


@pytest.mark.parametrize("client", CLIENTS)
def test_nobody_answers(client, monkeypatch):
    """A port that refuses connections may be open later."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with answering(200) as url:
        pass
    assert is_temporary(failure(client, url))


def test_a_model_that_is_not_there(monkeypatch):
    """A wrong model is wrong for good, on the hub and offline; a hub that is away is not."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputDataError) as offline:
        find_model("nobody/no-such-model")
    assert not is_temporary(offline.value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for status, expected in ((404, False), (503, True)):
        with answering(status) as url:
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
            monkeypatch.setattr(
                "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
                f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            )
            api = partial(HfApi, token=False)
            monkeypatch.setattr("huggingface_hub._snapshot_download.HfApi", api)
            with pytest.raises(InputDataError) as caught:
                find_model("nobody/no-such-model")
        assert is_temporary(caught.value) is expected, status


def chained(*errors: Exception) -> Exception:
    """Return the first of some errors, each the consequence of the next."""
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TimeoutError(), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (FileNotFoundError(), False),
        (KeyError("x"), False),
        (chained(StorageError("x"), OSError("x"), ConnectionResetError()), True),
        (chained(InvalidArgumentError("x"), ConnectionResetError()), False),
        (chained(InputDataError("x", temporary=True), FileNotFoundError()), True),
        (chained(InputDataError("x", temporary=False), TimeoutError()), False),
        (chained(requests.ConnectionError(), ssl.SSLCertVerificationError()), False),
        (chained(requests.ConnectionError(), socket.gaierror(socket.EAI_NONAME, "x")), False),
        (chained(requests.ConnectionError(), socket.gaierror(socket.EAI_AGAIN, "x")), True),
        (chained(ConnectionError("not reached"), OfflineModeIsEnabled("x")), False),
    ],
)
def test_kinds(error, expected):
    """The deepest cause decides, unless an error of ours says it."""
    assert is_temporary(error) is expected


def fail() -> None:
    """Fail in another process, which a cause does not leave."""
    error = chained(InputDataError("away"), ConnectionResetError())
    mark(error)
    raise error


def test_it_is_known_in_another_process():
    """An error that comes from a worker process is judged there."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        error = pool.submit(fail).exception(timeout=30)
    assert isinstance(error, InputDataError)
    assert is_temporary(error)
    assert pickle.loads(pickle.dumps(error)).temporary is True
