"""Untrusted input is accepted or refused with an error message: no hang, no escape.

Each test generates inputs that are nearly valid, since obvious nonsense is refused at the first
check. `FUZZ_EXAMPLES=100000 pytest tests/security/test_fuzz.py` runs for long, with other inputs
each time. Requests to an index server are tested in test_request_bounds.py, damaged images in
test_decoding.py.
"""

import asyncio
import copy
import io
import json
import sys
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fondant_spec.cli import main
from fondant_spec.errors import FondantError, InputDataError, InvalidComponentSpecError
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.worker.component_code import load_module
from image_toolkit.crawl.content_coding import coding_of
from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.optouts import opt_out_of
from image_toolkit.crawl.reply import Reply
from image_toolkit.crawl.robots import Robots
from image_toolkit.crawl.urls import join, parse_url
from image_toolkit.retry_after import retry_after
from tests.fuzzing import fuzz
from tests.small import dataset

LONGEST = 5.0
"""Seconds of this process, far beyond what an input takes; what waits for ever, pytest ends."""

ROOT = Path(__file__).parents[2]
SPECS = [
    yaml.safe_load(file.read_text(encoding="utf-8"))
    for file in sorted(ROOT.glob("tests/fondant_specs/*.yaml"))[:8]
]
URL = parse_url("http://a.example/images/cat.jpg?size=2")
WORDS = "str int list dict string array object float32 None (a+)+$ ../x /etc/passwd file:/// ~"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "\0", "http://127.0.0.1:9/x", *WORDS.split()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@contextmanager
def soon():
    """Fail if what is done takes long, or reaches for the network."""
    began = time.process_time()
    _reached.clear()
    yield
    assert time.process_time() - began < LONGEST
    assert _reached == []


_reached = []
sys.addaudithook(
    lambda event, _: event in ("socket.connect", "socket.getaddrinfo") and _reached.append(event)
)


def places(value, path=()):
    """Yield the path to each value inside a value, which itself comes first."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@st.composite
def changed(draw, values):
    """Return one of some values of JSON, with a few of its parts replaced, removed or deepened."""
    value = copy.deepcopy(draw(st.sampled_from(values)))
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([p for p in places(value) if p] or [("x",)]))
        inside = value
        for key in path:
            inside = inside[key]
        what = draw(st.sampled_from(["replace", "remove", "deepen"]))
        if what == "remove" and last in (inside if isinstance(inside, dict) else ()):
            del inside[last]
        elif what == "deepen":
            inside[last] = [[[[inside[last]]]]] * 2
        else:
            inside[last] = draw(VALUES)
    return value


LINES = st.sampled_from(
    f"""User-agent: *|user-agent:fondant-image-bot|Disallow: /|Disallow:|Allow: /images|Disallow: /%
Disallow: /{"*a" * 30}$|Crawl-delay: 1e999|Crawl-delay: nan|Crawl-delay: -1|Crawl-delay: x|\ufeff|#
Request-rate: 1/0|Request-rate: 9/1h 9999-1|Visit-time: 2500-9999|Sitemap: http://[|Host:|:|\0
User-agent: {"a" * 9999}""".replace("\n", "|").split("|")
)
TEXTS = st.lists(LINES | st.text(max_size=20), max_size=12).map("\n".join)


@given(TEXTS.map(lambda t: t.encode("utf-8", "replace")) | st.binary(max_size=200))
@fuzz()
def test_robots_txt(body):
    """Any robots.txt allows or forbids, within a delay that is bounded."""

    async def fetch(_):
        return Reply(URL, 200, body=bytearray(body))

    path = parse_url("http://a.example/" + "a" * 500)
    with soon():
        for url in (URL, path):
            try:
                delay = asyncio.run(Robots(fetch, "fondant-image-bot/1.0").check(url))
            except FetchError:
                continue
            else:
                assert 0 <= delay <= 30


_HEADS = rb"""HTTP/1.1 200 OK|HTTP/2 302|HTTP/1.1 99999|HTTP/|Location: //[|Location: ./..|:
Location: http://a:99999/|Location: http://xn--/| folded|Content-Encoding: gzip, br|Retry-After: @
X-Robots-Tag: noai|X-Robots-Tag: bot: :, ,:|tdm-reservation: 1|Retry-After: 1e9|Retry-After: -1|#: #
X-Robots-Tag: ~: ~|Location: @|Retry-After: Fri, 31 Dec 99999 0:0:0 GMT
Location: ~|Content-Encoding: ~"""
_HEADS = _HEADS.replace(b"\n", b"|").translate(bytes.maketrans(b"~#", b"\xff\0"))
HEADERS = st.sampled_from(_HEADS.replace(b"@", b"9" * 9000).split(b"|"))


@given(st.lists(HEADERS | st.binary(max_size=30), max_size=12))
@fuzz()
def test_response_headers(lines):
    """Any head gives a place to go on, a coding, a time to wait, or a refusal."""
    reply = Reply(URL)
    with soon():
        for line in lines:
            reply.take_line(line + b"\r\n")
        for look in (coding_of, lambda r: opt_out_of(r, "bot"), _follow):
            try:
                look(reply)
            except FetchError:
                continue
        wait = retry_after(reply.header("retry-after"))
        assert wait is None or wait >= 0


def _follow(reply):
    if reply.location is not None:
        assert join(URL, reply.location).scheme in ("http", "https")


@pytest.fixture(scope="module")
def received(tmp_path_factory):
    """Return a dataset to be damaged: its manifest, and the private words beside it."""
    base = tmp_path_factory.mktemp("fuzz")
    dataset(base / "private", number=[4711])
    made = dataset(base / "received", number=[1, 2])
    runs = Path(made.folder).parents[1] / "runs" / "run"
    runs.mkdir(parents=True)
    checkpoint = Path(made.folder) / "checkpoints" / "part-00000.json"
    checkpoint.parent.mkdir()
    right = json.loads(Path(made.location).read_text())
    return Path(made.location), right, runs / "run.json", checkpoint


RECORD = {
    "run_id": "run",
    "started": "2026-01-01",
    "state": "succeeded",
    "planned": {"given": "0" * 16},
    "steps": [{"step_id": "given", "cache_key": "0" * 16, "rows": 2, "cached": False}],
}


CHECKPOINT = {
    "name": "part-00000",
    "made_from": "",
    "run_id": "run",
    "work": {"started": "2026-01-01T00:00:00.000+00:00", "seconds": 1.5, "worker": "host:1"},
    "rows_in": 2,
    "partitions": [],
    "fields": {},
    "rejects": {"told": 1},
}


@given(data=st.data())
@fuzz()
def test_manifests_and_records(received, data):
    """Any manifest, checkpoint and record is told and checked, or refused; nothing else is read."""
    file, right, record, checkpoint = received
    file.write_text(json.dumps(data.draw(changed([right]))), encoding="utf-8")
    if data.draw(st.integers(0, 3)) == 0:
        file.unlink()  # the step is not finished, and is told of by its checkpoints
    checkpoint.write_text(json.dumps(data.draw(changed([CHECKPOINT]))), encoding="utf-8")
    record.write_text(json.dumps(data.draw(changed([RECORD]) | st.just(RECORD))), encoding="utf-8")
    base = ["--base-path", str(file.parents[3])]
    words = data.draw(
        st.sampled_from(
            [
                ["show", "given"],
                ["show", "given", "--id", "0" * 12],
                ["show", "given", "--rejects"],
                ["validate", str(file)],
                ["runs"],
                ["status"],
                ["status", "--events"],
                ["diff", "run", "run"],
                ["plan", "run", "--rows", "10"],
            ]
        )
    )
    said = io.StringIO()
    with soon(), redirect_stdout(said), redirect_stderr(said):
        code = main([*words, *base])
    assert code in (0, 1, 2)
    assert "This is a defect" not in said.getvalue()
    assert "4711" not in said.getvalue()


@given(data=st.data())
@fuzz()
def test_component_specs(data, tmp_path_factory):
    """Any spec is read, or refused with its place."""
    spec = data.draw(changed(SPECS))
    file = tmp_path_factory.getbasetemp() / "fondant_component.yaml"
    file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    place = told = str(file)
    with soon():
        try:
            place = str(ComponentSpec.from_file(file).path)
        except InvalidComponentSpecError as refused:
            told = str(refused)
    assert place == str(file.resolve())
    assert str(file) in told


CARDS = [
    {
        "configs": [
            {"config_name": "a", "data_files": [{"split": "train", "path": ["data/*.csv", "**"]}]},
            {"config_name": "b", "data_dir": "data", "default": True},
        ],
        "dataset_info": [
            {
                "config_name": "a",
                "features": [
                    {"name": "image", "dtype": "image"},
                    {"name": "label", "dtype": {"class_label": {"names": {"0": "cat"}}}},
                ],
            }
        ],
    }
]
PATTERNS = st.text("*?[]!a-z./\\{}()|+^$é", max_size=12) | st.just("**a" * 30 + "b")
NAMES = ["data/a.csv", "data/" + "a" * 200, "b/ü.csv", "data/[a]/b", "\udcff.csv"]


@given(data=st.data())
@fuzz()
def test_dataset_cards(data):
    """Any README of a dataset names files below it, or is refused."""
    configs = load_module(ROOT / "components" / "load_from_hub", "readme_configs")
    card = yaml.safe_dump(data.draw(changed(CARDS)))
    text = data.draw(st.just(f"---\n{card}---\n") | TEXTS.map(lambda t: f"---\n{t}\n---\n"))
    config = data.draw(st.sampled_from([None, "a", "b", "c"]))
    with soon():
        matter = configs.front_matter(text)
        configs.declared_features(matter, config)
        with suppress(InputDataError):
            found = configs.split_patterns("a dataset", matter, config) or {}
            for patterns in [*found.values(), [data.draw(PATTERNS)]]:
                assert set(configs.matching("a dataset", patterns, NAMES)) <= set(NAMES)


LAUGHS = ["a", *(f"a{number}" for number in range(64))]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\n" + "\n".join(f"{n}: &{n} [*{p}, *{p}]" for p, n in pairwise(LAUGHS)),
        "a: &a [*a]",
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000,
        "a: 2021-99-99",
        "? [a]\n: b",
        "!!python/object/apply:os.system ['touch /tmp/owned']",
        "x" * 3_000_000,
        "\n" * 500_000,
    ],
)
def test_yaml_that_is_made_to_grow(tmp_path, text):
    """Anchors of anchors, depth, size and objects are refused in a spec, ignored in a README."""
    file = tmp_path / "fondant_component.yaml"
    file.write_text(text)
    configs = load_module(ROOT / "components" / "load_from_hub", "readme_configs")
    with soon():
        with pytest.raises(FondantError):
            ComponentSpec.from_file(file)
        matter = configs.front_matter(f"---\n{text}\n---\n")
        assert configs.split_patterns("a dataset", matter, None) is None
        assert configs.front_matter(f"---\n{text}") == {}


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "a{999}{999}", "(?=a)a", "(a)\\1"])
def test_a_pattern_takes_no_time(pattern):
    """The regular expression of a stranger's spec is matched in linear time, or refused."""
    argument = {"type": "str", "default": "a" * 60 + "!", "pattern": pattern}
    spec = {"name": "a", "description": "a", "image": "a", "args": {"x": argument}}
    with soon(), pytest.raises(FondantError, match=r"args\.x"):
        ComponentSpec.from_dict(spec)
