import io
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.testing import component_class, run_component
from fondant_spec.worker import pieces
from image_toolkit.images.rendering import sha256
from tests.image_toolkit.crawl.fault_host import FaultHost, jpeg, reply
from tests.tiny_models import make_model

pytestmark = pytest.mark.long

FOLDER = Path(__file__).parents[1]
LENIENT = {
    "allow_private_hosts": True,
    "allowed_ports": [],
    "connections_per_host": 64,
    "requests_per_second_per_host": 0.0,
    "failures_per_host": 1_000_000,
    "min_image_size": 0,
    "timeout": 3,
    "retries": 0,
    "yield_sample": 0,
}


@pytest.fixture
def host():
    """Return a host that does what the path asks for."""
    with FaultHost() as host:
        yield host


def download(urls, tmp_path, options=None, **arguments):
    """Run the component over some URLs."""
    table = (
        urls if isinstance(urls, pa.Table) else pa.table({"image_url": pa.array(urls, "string")})
    )
    options = {"max_reject_share": "1", **(options or {})}
    return run_component(FOLDER, table, tmp_path, options=options, **{**LENIENT, **arguments})


def reasons(result):
    """Return the reason of each reject, by the number of its row."""
    return {int(row["id"]): row["reason"] for row in result.rejects.to_pylist()}


def test_an_image_comes_with_its_size_and_origin(host, tmp_path):
    """A URL that redirects to an image gives the image, its sizes, and where it came from."""
    result = download([f"{host.url}/to/?/ok/1"], tmp_path)
    (row,) = result.table.to_pylist()
    assert Image.open(io.BytesIO(row.pop("image"))).size == (96, 64)
    assert row.pop("fetched_at").year >= 2024
    assert len(row.pop("phash")) == 16
    assert row == {
        "id": "000000000000",
        "image_width": 96,
        "image_height": 64,
        "original_width": 96,
        "original_height": 64,
        "sha256": sha256(jpeg()),
        "final_url": f"{host.url}/ok/1",
        "status": 200,
        "mime_type": "image/jpeg",
        "etag": '"abc"',
        "last_modified": None,
        "opt_out": None,
    }


def test_every_row_comes_out_or_is_rejected(host, tmp_path):
    """Of images and faults in any mixture, each row ends in one of two places."""
    paths = {
        "/ok/1": None,
        "/status/404": "http_404",
        "/html": "not_an_image",
        "/svg": "not_an_image",
        "/nothing": "empty",
        "/short": "truncated",
        "/png-bomb": "too_many_pixels",
        "/megapixels": "too_many_pixels",
        "/one-pixel": "too_small",
        "/size/400x40": "aspect_ratio",
        "/gzip": None,
        "/drip": "timeout",
    }
    urls = [host.url + path for path in paths] + [None, ""]
    result = download(urls, tmp_path, min_image_size=20)
    expected = [*paths.values(), "empty_url", "empty_url"]
    assert reasons(result) == {n: reason for n, reason in enumerate(expected) if reason}
    assert [int(i) for i in result.table["id"].to_pylist()] == [0, 10]
    filtered = {r["reason"] for r in result.rejects.to_pylist() if r["filtered"]}
    assert filtered == {"too_small", "aspect_ratio"}


def test_rows_keep_their_order(host, tmp_path):
    """Slow rows hold their place."""
    urls = [f"{host.url}/slow/{200 - 20 * n}" for n in range(10)]
    assert download(urls, tmp_path).table["final_url"].to_pylist() == urls


def test_partitions_are_taken_side_by_side(host, tmp_path):
    """A slow URL in one partition does not keep the next from starting."""
    urls = [f"{host.url}/slow/500", *[f"{host.url}/ok/{n}" for n in range(9)]]
    result = download(urls, tmp_path, rows_per_partition=2)
    assert [p.rows for p in result.manifest.partitions] == [2] * 5
    assert result.table["final_url"].to_pylist() == urls
    assert host.finished.index("/ok/1") < host.finished.index("/slow/500")


def test_failures_that_may_pass_are_tried_again_at_the_end(host, tmp_path):
    """What fails in passing comes back in the second pass, with its attempts counted."""
    urls = [f"{host.url}/flaky/2/a", f"{host.url}/flaky/9/b", f"{host.url}/status/404"]
    result = download(urls, tmp_path, retries=1)
    assert result.table["final_url"].to_pylist() == [urls[0]]
    attempts = {row["reason"]: row["attempts"] for row in result.rejects.to_pylist()}
    assert attempts == {"http_503": 4, "http_404": 1}


def test_the_rejects_of_a_finished_step_can_be_fetched_again(host, tmp_path):
    """A retry asks for the rows that failed, and for no others."""
    urls = [f"{host.url}/ok/1", f"{host.url}/flaky/1/a", f"{host.url}/status/404"]
    assert reasons(download(urls, tmp_path)) == {1: "http_503", 2: "http_404"}
    again = download(urls, tmp_path, options={"retry": '["http_503"]'})
    assert reasons(again) == {2: "http_404"}
    assert again.table["final_url"].to_pylist() == urls[:2]
    assert [host.hits["/ok/1"], host.hits["/flaky/1/a"], host.hits["/status/404"]] == [1, 2, 1]


def seeds_table(host, paths, wanted=None):
    """Return rows of two seeds, one after the other, with so many images wanted of each."""
    columns = {
        "image_url": [host.url + path for path in paths[0] + paths[1]],
        "seed_id": ["a"] * len(paths[0]) + ["b"] * len(paths[1]),
    }
    if wanted is not None:
        columns["images_wanted"] = pa.array([wanted] * len(columns["seed_id"]), pa.int32())
    return pa.table(columns)


LOSSES = [f"/ok/{n}" if n % 2 else f"/status/404/{n}" for n in range(12)]
"""Rows 1, 3, 5, ... give an image."""


@pytest.mark.parametrize("by", ["argument", "field"])
def test_each_seed_gets_its_images_and_no_more_are_fetched(host, tmp_path, by):
    """The next row of a seed stands in for one that is lost; what nobody needs is not asked for."""
    alive = [f"/ok/b{n}" for n in range(12)]
    table = seeds_table(host, (LOSSES, alive), wanted=3 if by == "field" else None)
    arguments = {"images_per_seed": 3} if by == "argument" else {}
    result = download(table, tmp_path, **arguments)

    assert [int(i) for i in result.table["id"].to_pylist()] == [1, 3, 5, 12, 13, 14]
    expected = {0: "http_404", 2: "http_404", 4: "http_404"}
    left_out = [*range(6, 12), *range(15, 24)]
    assert reasons(result) == expected | dict.fromkeys(left_out, "not_needed")
    assert (result.manifest.failed, result.manifest.rows_in) == (3, 24)
    assert [host.hits[path] for path in LOSSES] == [1] * 6 + [0] * 6
    assert [host.hits[path] for path in alive] == [1] * 3 + [0] * 9


def test_a_seed_whose_urls_are_used_up_is_told(host, tmp_path, caplog):
    """It gets what there is, and the log says how many images are missing."""
    result = download(seeds_table(host, (LOSSES, ["/ok/b"])), tmp_path, images_per_seed=8)
    assert len(result.table) == 7
    assert (
        "2 of 2 seeds are short of images, by 9 in all: their URLs are used up; have the retrieval "
        "give more (spares of laion_retrieval)." in caplog.text
    )


def test_what_may_pass_is_tried_again_where_the_seed_lacks_it(host, tmp_path):
    """The second pass is for seeds that are short; of others, the failure stands as it was."""
    lacking = ["/flaky/2/a", "/ok/1"]
    full = ["/flaky/2/b", "/ok/2", "/ok/3", "/ok/4"]
    result = download(seeds_table(host, (lacking, full), wanted=2), tmp_path, retries=1)
    assert [int(i) for i in result.table["id"].to_pylist()] == [0, 1, 3, 4]
    assert reasons(result) == {2: "http_503", 5: "not_needed"}
    assert result.rejects["attempts"].to_pylist() == [2, 1]
    assert (host.hits["/flaky/2/a"], host.hits["/flaky/2/b"]) == (3, 2)


def test_a_row_that_failed_is_no_longer_needed(host, tmp_path):
    """A retry fetches what a seed lacks, by the images it has, and leaves the rest out."""
    lacking = ["/flaky/1/a", "/flaky/1/b", "/ok/1", "/flaky/9/c"]
    full = ["/flaky/9/d", "/ok/2", "/ok/3"]
    table = seeds_table(host, (lacking, full), wanted=2)
    first = download(table, tmp_path)
    assert [int(i) for i in first.table["id"].to_pylist()] == [2, 5, 6]
    again = download(table, tmp_path, options={"retry": '["http_503"]'})
    assert [int(i) for i in again.table["id"].to_pylist()] == [0, 2, 5, 6]
    assert reasons(again) == dict.fromkeys([1, 3, 4], "not_needed")
    assert host.hits["/flaky/9/d"] == 1
    assert again.manifest.failed == 0


def test_a_partition_that_goes_on_counts_the_images_it_has(host, tmp_path, monkeypatch):
    """After a kill, a seed gets what it still lacks."""
    monkeypatch.setattr(pieces, "SECONDS", 0.0)
    crawl = component_class(FOLDER).transform_batches.__globals__["Crawl"].run.__globals__
    to_batch = crawl["to_batch"]
    monkeypatch.setitem(crawl, "_BATCH_ROWS", 1)
    paths = [f"/ok/{n}" for n in range(6)]
    table = seeds_table(host, (paths, []), wanted=4)
    taken = []

    def breaks(pictures):
        taken.append(len(pictures))
        if len(taken) == 3:
            raise RuntimeError
        return to_batch(pictures)

    monkeypatch.setitem(crawl, "to_batch", breaks)
    with pytest.raises(RuntimeError):
        download(table, tmp_path)
    monkeypatch.undo()
    result = download(table, tmp_path)
    assert [int(i) for i in result.table["id"].to_pylist()] == [0, 1, 2, 3]
    assert reasons(result) == {4: "not_needed", 5: "not_needed"}
    assert host.hits["/ok/0"] == 1


@pytest.mark.parametrize("told", ["images_per_seed", "the field images_wanted"])
def test_a_number_for_each_seed_needs_seeds(host, tmp_path, told):
    """Without a field that tells seeds apart there is no counting by seed."""
    table = seeds_table(host, (["/ok/1"], []), wanted=1).drop_columns("seed_id")
    arguments = {"images_per_seed": 1} if told == "images_per_seed" else {}
    message = (
        f"download_images: {told} says how many images of each seed are wanted, but no field says "
        "which seed a row is of; name it in consumes, {'seed_id': FIELD}."
    )
    with pytest.raises(InputDataError, match=re.escape(message)):
        download(table, tmp_path, **arguments)


def test_the_yield_is_told_before_the_download(host, tmp_path, caplog):
    """A sample is asked for heads alone, politely; what may not be fetched is not expected."""
    caplog.set_level("INFO")
    paths = [f"/ok/{n}" if n % 4 else f"/status/404/{n}" for n in range(400)]
    urls = [host.url + path for path in paths]
    result = download(urls, tmp_path / "a", yield_sample=200)
    told = re.search(
        r"of 40 sampled URLs (\d+) % answer \((\d+)-(\d+) %\): were all 400 fetched, about (\d+) "
        "would give an image",
        caplog.text,
    )
    share, low, high, expected = map(int, told.groups())
    assert low < share < high
    assert expected == pytest.approx(4 * share, abs=4)
    assert low <= 75 <= high
    assert sum(host.hits[path] for path in paths) == 440
    assert host.heads == 40
    assert len(result.table) == 300
    caplog.clear()
    download(urls[:199], tmp_path / "b", yield_sample=200)
    assert "sampled" not in caplog.text
    host.robots = reply(200, b"User-agent: *\nDisallow: /")
    download(urls, tmp_path / "c", yield_sample=200)
    assert "of 40 sampled URLs 0 % answer (0-9 %)" in caplog.text
    assert host.heads == 40


def test_stragglers_are_given_up(host, tmp_path):
    """The last rows of a partition get so many seconds, and no more."""
    urls = [f"{host.url}/ok/{n}" for n in range(40)] + [f"{host.url}/silence"]
    result = download(urls, tmp_path, straggler_timeout=1, timeout=60)
    assert reasons(result) == {40: "straggler"}


def test_a_file_that_is_not_what_the_index_saw_is_rejected(host, tmp_path):
    """Where the index gave a hash, another file at the URL is a reject."""
    table = pa.table(
        {
            "image_url": [f"{host.url}/ok/{n}" for n in range(3)],
            "expected_sha256": [sha256(jpeg()), "0" * 64, None],
        }
    )
    assert reasons(download(table, tmp_path)) == {1: "hash_mismatch"}


def test_an_image_that_is_not_what_the_index_saw_is_quarantined(host, tmp_path):
    """Only an image whose vector is like the indexed one passes; without one it is not checked."""
    model = str(make_model("clip", tmp_path / "model"))
    seen = run_component(
        FOLDER.parent / "image_embedding",
        pa.table({"image": [jpeg()]}),
        tmp_path / "embedding",
        model_id=model,
    )
    vector = seen.table["embedding"].to_pylist()[0]
    opposite = [-number for number in vector]
    vectors = pa.array([vector, opposite, None], pa.list_(pa.float32()))
    urls = [f"{host.url}/ok/{n}" for n in range(3)]
    table = pa.table({"image_url": urls, "expected_embedding": vectors})
    checks = {"verify_embedding": 0.9, "verify_model_id": model}
    result = download(table, tmp_path / "a", **checks)
    assert reasons(result) == {1: "embedding_mismatch"}
    assert result.table["final_url"].to_pylist() == [urls[0], urls[2]]
    assert result.manifest.fields["image"].metadata["verified_by"]["least_cosine"] == 0.9
    short = pa.array([[1.0, 2.0]], pa.list_(pa.float32()))
    other = pa.table({"image_url": urls[:1], "expected_embedding": short})
    with pytest.raises(InputDataError, match="expected_embedding has 2 numbers"):
        download(other, tmp_path / "b", **checks)
    with pytest.raises(InputDataError, match="verify_embedding needs the field"):
        download(urls, tmp_path / "c", **checks)


WITHOUT_TORCH = """
import sys
from pathlib import Path

import pyarrow as pa

sys.modules["torch"] = None

from fondant_spec.errors import MissingDependencyError
from fondant_spec.testing import run_component

vectors = pa.array([[1.0, 2.0]], pa.list_(pa.float32()))
table = pa.table({"image_url": ["http://127.0.0.1:9/a.jpg"], "expected_embedding": vectors})
try:
    run_component(Path(sys.argv[1]), table, Path(sys.argv[2]), verify_embedding=0.9)
except MissingDependencyError as error:
    print(error)
"""


def test_vectors_need_what_the_image_of_the_component_lacks(tmp_path):
    """Where there is no torch, as in that image, the message names what to install."""
    command = [sys.executable, "-c", WITHOUT_TORCH, str(FOLDER), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(
        "verify_embedding needs the packages of the extra models, which this component's image "
        "does not have: `pip install 'fondant-spec[models]'`. ("
    ), done.stderr


@pytest.mark.parametrize("name", ["image_size", "timeout", "n_connections", "max_bytes"])
def test_an_argument_that_makes_no_sense_is_refused(tmp_path, name):
    """Nothing, and less than nothing, is refused before anything is fetched."""
    least = 0.1 if name == "timeout" else 1
    message = f"^download_images: argument '{name}' must be at least {least}, not 0(.0)?.$"
    with pytest.raises(InvalidArgumentError, match=message):
        download(["http://example.org/"], tmp_path, **{name: 0})
    with pytest.raises(InvalidArgumentError, match="'quality' must be from 1 to 100, not 101"):
        download(["http://example.org/"], tmp_path, quality=101)
    with pytest.raises(InvalidArgumentError, match="'max_aspect_ratio' must be at least 1"):
        download(["http://example.org/"], tmp_path, max_aspect_ratio=0.5)
    with pytest.raises(InvalidArgumentError, match="'contact' must be a text of the form"):
        download(["http://example.org/"], tmp_path, contact="a@example.org\r\nCookie: x")


def test_private_hosts_are_refused_by_default(host, tmp_path):
    """Nothing on one's own network is reached unless that is asked for."""
    urls = [f"{host.url}/ok/1", f"http://localhost:{host.port}/ok/2"]
    result = download(urls, tmp_path, allow_private_hosts=False)
    assert reasons(result) == {0: "private_address", 1: "private_address"}
    assert host.connections == 0


def test_what_was_not_respected_is_in_the_manifest(host, tmp_path):
    """Switching opt-outs off works, and is recorded for whoever reads the dataset."""
    host.robots = reply(200, b"User-agent: *\nDisallow: /")
    url = f"{host.url}/header/?X-Robots-Tag=noai"
    result = download([url], tmp_path / "a")
    assert reasons(result) == {0: "robots_txt"}
    result = download([url], tmp_path / "b", respect_robots=False)
    assert reasons(result) == {0: "x_robots_tag"}
    result = download([url], tmp_path / "c", respect_robots=False, respect_opt_outs=False)
    assert result.table.num_rows == 1
    metadata = result.manifest.fields["final_url"].metadata
    assert [metadata["respect_robots"], metadata["respect_opt_outs"]] == [False, False]
    assert result.table["opt_out"].to_pylist() == ["X-Robots-Tag: noai"]


def test_the_contact_is_in_the_user_agent(host, tmp_path):
    """Hosts learn who asks."""
    download([f"{host.url}/ok/1"], tmp_path, user_agent="my-bot/2", contact="mailto:me@example.org")
    assert host.agents == {"my-bot/2 (+mailto:me@example.org)"}


def test_a_missing_contact_is_warned_about(tmp_path, caplog):
    """On the web, hosts should be able to reach whoever crawls them."""
    for contact, warned in ((None, True), ("mailto:me@example.org", False)):
        caplog.clear()
        download([], tmp_path / str(warned), allow_private_hosts=False, contact=contact)
        assert ("contact is not set" in caplog.text) == warned


def test_nothing_gives_nothing(tmp_path):
    """An empty dataset is no error."""
    assert download([], tmp_path).table.num_rows == 0


HOSTILE = [
    *["/drip", "/silence", "/cut", "/reset", "/garbage", "/headers", "/endless", "/huge"],
    *["/gzip-bomb", "/short", "/png-bomb", "/megapixels", "/html", "/svg", "/nothing", "/loop"],
    *["/status/401", "/status/403", "/status/404", "/status/410", "/status/429", "/status/500"],
    *["/to/?http://[fe80::1]/", "/to/?http://169.254.169.254/", "/to/?file:///x"],
]


def test_ten_thousand_urls_half_of_them_hostile_end_on_time(host, tmp_path):
    """Nothing hangs, nothing is lost: every row is an image, or a reject with a reason.

    The slow ones are waited for side by side.
    """
    count = 10_000
    slow = ("/drip", "/silence", "/endless", "/gzip-bomb")  # rarer: they cost a deadline each
    quick = [path for path in HOSTILE if path not in slow]
    faults = [*quick * 20, *slow]
    paths = [f"/ok/{n}" if n % 2 else faults[n // 2 % len(faults)] for n in range(count)]
    result = download(
        [host.url + path for path in paths],
        tmp_path,
        timeout=10,
        max_bytes=200_000,
        n_connections=256,
        connections_per_host=256,
    )
    assert host.most_active > len(slow)
    assert result.table.num_rows == count // 2
    assert result.table.num_rows + result.rejects.num_rows == count
    found = {*result.rejects["reason"].to_pylist()}
    assert {"timeout", "too_slow"} & found  # of what never ends, whichever is noticed first
    assert found - {"timeout", "too_slow"} == {
        *["http_401", "http_403", "http_404", "http_410", "http_429", "http_500"],
        *["connection_reset", "incomplete_body", "invalid_response", "too_large"],
        *["empty", "not_an_image", "too_many_pixels", "truncated"],
        *["private_address", "scheme_not_allowed", "too_many_redirects"],
    }
