"""`fondant-spec explore` as a program: access control, first page, and surviving a kill."""

import json
import socket

import httpx
import pyarrow as pa
import pytest

from explorer.guard import POLICY
from explorer.place import find_place
from fondant_spec.cli import main
from fondant_spec.testing import write_dataset
from image_toolkit.edits.journal import Journal
from tests.explorer.serving import serving

DATA = "/data/pipeline/given/0000000000000000"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A base path with one result."""
    base = tmp_path_factory.mktemp("base")
    columns = {
        "sha256": [f"{n:064x}" for n in range(60)],
        "caption": [f"cat {n}" for n in range(60)],
    }
    write_dataset(pa.table(columns), base, rows_per_partition=20)
    return base


@pytest.fixture(scope="module")
def server(base):
    """A server of it."""
    with serving(base) as served:
        yield served


@pytest.fixture
def client(server):
    """A browser of a kind that has opened the printed address."""
    with httpx.Client(base_url=server.root, follow_redirects=True) as client:
        assert client.get(server.address.removeprefix(server.root)).status_code == 200
        yield client


def test_the_token_leaves_the_address(server):
    """The first answer keeps it in a cookie that scripts do not see, and leads on without it."""
    with httpx.Client(base_url=server.root) as client:
        answer = client.get(f"{DATA}?token={server.token}&q=cat&q=1")
        assert (answer.status_code, answer.headers["location"]) == (303, f"{DATA}?q=cat&q=1")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get(DATA).status_code == 200


@pytest.mark.parametrize(
    "ask",
    [
        lambda c, _: c.get("/"),
        lambda c, _: c.get("/static/explorer.js"),
        lambda c, _: c.get("/?token=another"),
        lambda c, _: c.get("/", headers={"cookie": "explorer-0=x"}),
        lambda c, s: c.post(f"/undo?token={s.token}", json={}),
    ],
)
def test_without_the_token_nothing_is_told(server, ask):
    """Neither pages nor assets are given, and nothing is written."""
    with httpx.Client(base_url=server.root) as client:
        answer = ask(client, server)
        assert answer.status_code == 403
        assert answer.text.startswith("Refused: ")
        assert "pipeline" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "169.254.1.1"])
def test_other_names_are_not_known(client, server, host):
    """A page whose name points here (DNS rebinding) learns nothing, even with the token."""
    for path in ("/", f"/?token={server.token}"):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code in (400, 421)
        assert "given" not in answer.text


@pytest.mark.parametrize("name", ["localhost", "[::1]", "127.0.0.1"])
def test_names_of_this_machine_are_known(client, name):
    """All names of loopback addresses will do."""
    cookie = "; ".join(f"{key}={value}" for key, value in client.cookies.items())
    assert client.get("/", headers={"host": f"{name}:1", "cookie": cookie}).status_code == 200


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1"])
def test_other_sites_write_nothing(client, base, origin):
    """A change must come from a page of the explorer, whatever cookie the browser sends."""
    headers = {} if origin is None else {"origin": origin}
    change = {"row": "000000000001", "field": "caption", "value": "x"}
    before = Journal(str(base / "edits")).edits()
    answer = client.post(f"{DATA}/edits", json={"changes": [change]}, headers=headers)
    assert answer.status_code == 403
    assert Journal(str(base / "edits")).edits() == before


def test_a_body_is_bounded(client, server):
    """More than a megabyte is refused unread."""
    answer = client.post("/undo", content=b"x" * (1 << 21), headers={"origin": server.root})
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/", DATA, f"{DATA}/bulk", "/history", "/nothing", "/static/x"])
def test_what_pages_may_do(client, path):
    """Every answer comes with a policy that lets no script in but the explorer's own."""
    headers = client.get(path).headers
    assert headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/data/pipeline/given/..",
        "/data/..%2f..%2fetc/given/0000000000000000",
        "/data/pipeline/given/0000000000000000%2f..%2f..",
        "/static/..%2fserver.py",
        "/static/%2e%2e/guard.py",
        "/run/..%2f../x",
        "/compare?a=../../x&b=pipeline/given/0000000000000000",
    ],
)
def test_nothing_outside_of_the_base_path(client, path):
    """Names that lead elsewhere are no names of datasets, runs or assets."""
    assert client.get(path).status_code in (400, 404)


def test_fifty_edits_survive_kills(base):
    """The server is killed after each half; every edit that was answered is there, and whole."""
    written = {}
    for start in (0, 25):
        with serving(base, "--name", f"editor-{start}") as served:
            with httpx.Client(base_url=served.root, follow_redirects=True) as client:
                client.get(served.address.removeprefix(served.root))
                for number in range(start, start + 25):
                    caption = f"corrected {number} " + "é" * 50
                    change = {"row": f"{number:012d}", "field": "caption", "value": caption}
                    answer = client.post(
                        f"{DATA}/edits", json={"changes": [change]}, headers={"origin": served.root}
                    )
                    assert answer.status_code == 200
                    written[f"{number:064x}"] = caption
            served.kill()
    assert {e.image: e.value for e in Journal(str(base / "edits")).edits()} == written
    for file in (base / "edits").glob("*.jsonl"):
        assert all(json.loads(line) for line in file.read_text().splitlines())


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("{base}", "/"),
        ("{base}/pipeline", "/#pipeline"),
        ("{base}/pipeline/given", DATA),
        ("{base}/pipeline/given/0000000000000000", DATA),
        ("{base}/pipeline/given/0000000000000000/manifest.json", DATA),
        ("given", DATA),
        ("pipeline/given", DATA),
    ],
)
def test_where_it_begins(base, path, address):
    """A base path, a pipeline, a step by its folder or name, and a manifest have a page each."""
    place = find_place(path.format(base=base), str(base))
    assert (place.base_path, place.address) == (str(base), address)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nothing-here"], "has no result of a step 'nothing-here'"),
        (["{base}", "--host", "0.0.0.0"], "--host 0.0.0.0 lets other machines in; give a --token"),
        (["{base}", "--token", "short"], "--token is easily guessed"),
        (["{base}", "--port", "{taken}"], "cannot listen on 127.0.0.1:{taken}"),
        (["{base}", "--port", "99999"], "cannot listen on 127.0.0.1:99999"),
    ],
)
def test_what_it_will_not_do(base, capsys, words, why):
    """It ends with 2 and a sentence that says what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        argv = [word.format(base=base, taken=port) for word in words]
        assert main(["explore", "--base-path", str(base), *argv]) == 2
        assert why.format(taken=port) in capsys.readouterr().err
