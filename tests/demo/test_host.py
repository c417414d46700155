import http.client
import json
import shutil
import socket
import urllib.request
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from demo.host import default_port, serving
from fondant_spec.errors import InputDataError, InvalidConfigError


@pytest.fixture(scope="module")
def base_url(collection):
    """A running host."""
    with serving(collection, port=0) as url:
        yield url


@pytest.fixture
def get(base_url):
    """A client that keeps its connection and follows no redirect."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=10)

    def request(path, method="GET"):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer, answer.read()

    yield request
    connection.close()


@pytest.fixture(scope="module")
def path_of(collection):
    """One path of each kind."""
    truth = pq.read_table(collection / "truth.parquet").to_pylist()
    return {row["kind"]: urlsplit(row["url"]).path for row in truth}


@pytest.mark.parametrize(
    ("kind", "status", "content_type"),
    [
        ("image", 200, "image/"),
        ("exact_duplicate", 200, "image/"),
        ("near_duplicate", 200, "image/jpeg"),
        ("tiny", 200, "image/"),
        ("truncated", 200, "image/"),
        ("empty", 200, "image/"),
        ("opted_out", 200, "image/"),
        ("html", 200, "text/html"),
        ("not_found", 404, "text/html"),
        ("server_error", 500, "text/plain"),
        ("redirect", 302, ""),
        ("redirect_loop", 302, ""),
    ],
)
def test_a_page_is_answered_as_its_kind_says(get, path_of, kind, status, content_type):
    """Each kind of page has its status and content type."""
    answer, _ = get(path_of[kind])
    assert answer.status == status
    assert answer.headers.get("Content-Type", "").startswith(content_type)


def test_a_connection_is_kept(get, path_of):
    """Two requests travel over one connection, each with its exact length."""
    for kind in ("image", "near_duplicate"):
        answer, body = get(path_of[kind])
        assert answer.version == 11
        assert int(answer.headers["Content-Length"]) == len(body) > 1000
        assert not answer.will_close


def test_bodies_are_what_their_kinds_promise(get, path_of, collection):
    """An empty body is empty, a truncated one is half, a page that moved is HTML."""
    assert get(path_of["empty"])[1] == b""
    crawled = (collection / "crawled" / path_of["truncated"][1:]).read_bytes()
    assert get(path_of["truncated"])[1] == crawled[: len(crawled) // 2]
    assert get(path_of["html"])[1].startswith(b"<!doctype html>")
    assert get(path_of["opted_out"])[0].headers["X-Robots-Tag"] == "noai, noimageai"


def test_a_redirect_leads_to_the_picture_and_a_loop_leads_back(get, path_of, collection):
    """One redirect ends at an image; the other returns to where it began."""
    target = get(path_of["redirect"])[0].headers["Location"]
    assert get(target)[1] == (collection / "web" / target[1:]).read_bytes()
    back = get(path_of["redirect_loop"])[0].headers["Location"]
    assert get(back)[0].headers["Location"] == path_of["redirect_loop"]


@pytest.mark.parametrize(
    "path",
    [
        "/../truth.parquet",
        "/%2e%2e/truth.parquet",
        "/..%2ftruth.parquet",
        "//etc/passwd",
        "/%00",
        "/",
    ],
)
def test_no_path_leaves_the_collection(get, path):
    """Only listed paths are served, however they are spelt."""
    answer, body = get(path)
    assert answer.status in (400, 404)
    assert b"PAR1" not in body


def test_other_methods_are_refused(get, path_of):
    """The host is for reading."""
    assert get(path_of["image"], "POST")[0].status == 405


def test_demos_side_by_side(collection, tmp_path):
    """Hosts of the same collection share a port, one of another is refused, and one may end."""
    with serving(collection, port=0) as url:
        port = urlsplit(url).port
        with serving(collection, port):
            pass
        other = shutil.copytree(collection, tmp_path / "other")
        (other / "collection.json").write_text("{}")
        with (
            pytest.raises(InvalidConfigError, match="something else listens"),
            serving(other, port),
        ):
            pass
        with urllib.request.urlopen(f"{url}/robots.txt", timeout=10) as answer:
            assert answer.status == 200


def test_a_taken_port_is_named_with_what_to_do(collection):
    """A port that something else has is an error before anything starts."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InvalidConfigError) as caught, serving(collection, port):
            pass
    assert str(caught.value) == (
        f"something else listens on 127.0.0.1:{port}: stop it, or set DEMO_PORT to a free port"
    )


def test_the_host_stops_with_the_statement(collection):
    """After the `with` statement nobody answers, and the port can be had at once."""
    with serving(collection, 0) as url:
        port = int(url.rsplit(":", maxsplit=1)[1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    with serving(collection, port) as again:
        assert again == url


def test_an_unfinished_collection_is_not_served(tmp_path):
    """A folder without a collection is named with what to run."""
    with pytest.raises(InputDataError) as caught, serving(tmp_path, 0):
        pass
    assert (
        str(caught.value) == f"{tmp_path} holds no finished collection: run `python -m demo` first"
    )


@pytest.mark.parametrize("text", ["", "web", "0", "65536", "-1", "80.5"])
def test_a_wrong_port_is_refused(monkeypatch, text):
    """DEMO_PORT must be a port number."""
    monkeypatch.setenv("DEMO_PORT", text)
    with pytest.raises(InvalidConfigError, match=r"give a port number from 1 to 65535$"):
        default_port()


def test_the_environment_names_the_port(monkeypatch):
    """DEMO_PORT decides, and 8642 is the default."""
    monkeypatch.setenv("DEMO_PORT", "9000")
    assert default_port() == 9000
    monkeypatch.delenv("DEMO_PORT")
    assert default_port() == 8642


def test_every_fault_is_of_the_collection(collection):
    """The table of faults names paths only, none of them outside the collection."""
    faults = json.loads((collection / "faults.json").read_text())
    assert len(faults) > 5
    assert all(not path.startswith(("/", ".")) and ".." not in path for path in faults)
