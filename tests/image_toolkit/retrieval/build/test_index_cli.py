"""`fondant-spec index`: build, check and serve from the command line."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.cli import main
from fondant_spec.cpu import cpu_count
from image_toolkit.retrieval.build.staging import Staging
from image_toolkit.retrieval.build.vector_sources import open_source

ROWS, DIMENSION = 400, 8
VECTORS = np.random.default_rng(0).standard_normal((ROWS, DIMENSION)).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A Parquet file of URLs with vectors."""
    lists = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), DIMENSION)
    table = pa.table({"URL": [f"http://a.example/{i}" for i in range(ROWS)], "embedding": lists})
    pq.write_table(table, tmp_path / "urls.parquet")
    return tmp_path / "urls.parquet"


def test_build_and_check(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is built is reported with its recall, and passes its check."""
    folder = tmp_path / "index"
    model = "openai/clip-vit-base-patch32"

    assert main(["index", "build", str(source), str(folder), "--model-id", model]) == 0
    built = capsys.readouterr().out
    assert main(["index", "check", str(folder)]) == 0
    checked = capsys.readouterr().out

    assert built.startswith(f"to build: flat (Flat) of 400 vectors of 8, on {cpu_count()} cores, ")
    assert "\n  the index: 0.0 MB beside its metadata; a search holds 0.0 MB in memory" in built
    assert f"\n{folder}: flat, 400 rows, " in built
    assert "exact          recall@10 1.0000" in built
    assert "rows          400, each with its metadata" in checked
    assert "model         'ViT-B/32'" in checked
    assert "columns       url" in checked
    assert "no score for unsafe content, so max_unsafe has no effect" in checked


def test_a_build_that_goes_on_says_so(source: Path, tmp_path: Path) -> None:
    """Its lines are seen where standard error is no terminal."""
    Staging(tmp_path / "index.building").fill(open_source(source))
    words = ["-m", "fondant_spec.cli", "index", "build", str(source), str(tmp_path / "index")]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    assert "INFO going on after 400 rows that are kept\n" in done.stderr


def test_what_is_left_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A build names the first rows that it left out, and says where all of them are listed."""
    rows = [None if number < 14 else vector.tolist() for number, vector in enumerate(VECTORS)]
    table = pa.table({"url": [f"http://a.example/{i}" for i in range(ROWS)], "embedding": rows})
    pq.write_table(table, tmp_path / "urls.parquet")

    assert main(["index", "build", str(tmp_path / "urls.parquet"), str(tmp_path / "index")]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]

    assert "386 rows, 14 without a usable vector left out" in lines[0]
    assert lines[1:11] == [f"  left out: http://a.example/{n} (row {n})" for n in range(10)]
    assert lines[11] == f"  4 more; the rows left out are listed in {tmp_path / 'index/left_out'}"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["index", "build", "{missing}", "{out}"], 1, "error: there is no {missing}."),
        (["index", "check", "{missing}"], 1, "error: index: there is no {missing}."),
        (
            ["index", "build", "{empty}", "{out}"],
            2,
            "error: {empty} holds no vectors; to embed its images, name a --model-id.",
        ),
    ],
)
def test_errors_are_reported_in_a_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    """What the user can put right is one line, and the exit code says that it failed."""
    (tmp_path / "empty").mkdir()
    places = {name: str(tmp_path / name) for name in ("missing", "empty", "out")}

    assert main([word.format(**places) for word in arguments]) == code
    assert capsys.readouterr().err == message.format(**places) + "\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["build", "a", "b", "--memory-gb", "nan"], "a number from 0.001 to 1e+06, not 'nan'"),
        (["build", "a", "b", "--memory-gb=-1"], "a number from 0.001 to 1e+06, not '-1'"),
        (["build", "a", "b", "--target-recall", "7"], "a number from 0 to 1, not '7'"),
        (["serve", "a", "--port", "99999"], "a port, from 0 to 65535, not '99999'"),
        (["serve", "a", "--port", "http"], "a port, from 0 to 65535, not 'http'"),
    ],
)
def test_numbers_out_of_range_are_wrong_usage(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are refused by their option, before anything is read."""
    with pytest.raises(SystemExit) as ended:
        main(["index", *words])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"must be {told}\n")


def test_a_disk_without_room_is_told(source: Path, tmp_path: Path) -> None:
    """A build that finds no room says so in a line, and where."""
    program = (
        "import resource, sys; from fondant_spec.cli import main; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "index", "build", str(source), str(tmp_path / "i")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"error: {tmp_path / 'i'}")
    assert ": the disk is full (File too large). Make room" in done.stderr


def test_serve(source: Path, tmp_path: Path) -> None:
    """The server runs as a program, says where, and answers."""
    folder = tmp_path / "index"
    assert main(["index", "build", str(source), str(folder)]) == 0
    with _served(folder, "--name", "mine") as url:
        assert _names(url) == ["mine"]
        body = {"modality": "image", "num_images": 1, "indice_name": "mine"}
        body["embedding_input"] = VECTORS[33].tolist()
        assert httpx.post(f"{url}/knn-service", json=body).json()[0]["id"] == 33


def test_serve_all_that_a_listing_names(source: Path, tmp_path: Path) -> None:
    """As `clip-retrieval back` does, whatever the file is called."""
    folder, listing = tmp_path / "index", tmp_path / "my_indices.json"
    assert main(["index", "build", str(source), str(folder)]) == 0
    listing.write_text(json.dumps({"a": str(folder), "b": {"indice_folder": "index"}}))
    with _served(listing) as url:
        assert _names(url) == ["a", "b"]
    assert main(["index", "serve", str(listing), "--name", "mine"]) == 2


@contextmanager
def _served(index: Path, *arguments: str) -> Iterator[str]:
    """Run the server as a program, and see to it that it says where it is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "import sys; from fondant_spec.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "index", "serve", str(index), "--port", str(port)]
    server = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    try:
        yield url
    finally:
        server.terminate()
        output, _ = server.communicate(timeout=60)
    assert f": 400 rows at {url}/knn-service\n" in output


def _names(url: str) -> list[str]:
    """Return the server's indexes, as soon as it is up."""
    end = time.monotonic() + 120
    while True:
        try:
            return list(httpx.get(f"{url}/indices-list", timeout=60).json())
        except httpx.TransportError:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.1)
