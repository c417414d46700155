"""Captions from an OpenAI-compatible server, which is a real one on this machine."""

import base64
import io
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

import pyarrow as pa
import pytest
from PIL import Image

from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.temporary import is_temporary
from image_toolkit.models.captioning import endpoint
from image_toolkit.models.captioning.asks import Ask
from image_toolkit.models.captioning.caption_models import CaptionModels
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.models.captioning.caption_writer import CaptionWriter
from image_toolkit.models.captioning.drafts import Choice, Draft
from image_toolkit.models.captioning.endpoint import EndpointCaptioner
from image_toolkit.models.captioning.endpoint_images import EndpointImages, data_url
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.runtime.batching import BatchSize
from image_toolkit.models.runtime.feed_groups import Group
from image_toolkit.models.runtime.feed_rows import FeedRow, UnusableError
from tests.small import until


class Server(ThreadingHTTPServer):
    """Answers with the size of the image and the question; misbehaves on demand."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.statuses, self.texts, self.body = [], [], [], None
        self.ends = []
        self.away = False
        self.probed = []
        self.busy = ""
        self.pauses, self.at_once, self.most_at_once = [], 0, 0
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    """What the server says."""

    def do_POST(self):
        """Answer one question, and count how many are asked at the same time."""
        self.server.at_once += 1
        self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        if self.server.pauses:
            self.server.pauses.pop(0)()
        self.answer()
        self.server.at_once -= 1

    def answer(self):
        """Say what there is to say."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization"), asked))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if isinstance(status, str):
            getattr(self, status)()
            return
        text, image = asked["messages"][0]["content"]
        data = base64.b64decode(image["image_url"]["url"].split(",")[1])
        size = Image.open(io.BytesIO(data)).size
        answer = [f"{text['text']} {size[0]}x{size[1]} {n}" for n in range(asked["n"])]
        if self.server.texts:
            answer = [self.server.texts.pop(0)]
        end = self.server.ends.pop(0) if self.server.ends else "stop"
        choices = [{"message": {"content": line}, "finish_reason": end} for line in answer]
        body = json.dumps({"choices": choices})
        if status != 200:
            body = '{"error": "no such luck"}'
        self.send_response(status)
        if status == 301:
            self.send_header("Location", "0")
        if status in (429, 503) and self.server.busy:
            self.send_header("Retry-After", self.server.busy)
        self.end_headers()
        self.wfile.write((self.server.body or body).encode())

    def do_GET(self):
        """List the models, unless the server is away."""
        self.server.probed.append((self.path, self.headers.get("Authorization")))
        self.send_response(503 if self.server.away else 200)
        self.end_headers()

    def cut(self):
        """Close the connection without an answer."""
        self.close_connection = True

    def stop_halfway(self):
        """Close the connection in the middle of an answer."""
        self.send_response(200)
        self.send_header("Content-Length", "99")
        self.end_headers()
        self.wfile.write(b"{")
        self.close_connection = True

    def hang(self):
        """Give no answer."""
        self.server.over.wait(60)

    def hang_halfway(self):
        """Begin an answer, and do not end it."""
        self.send_response(200)
        self.send_header("Content-Length", "99")
        self.end_headers()
        self.server.over.wait(60)
        self.close_connection = True

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    """Return a running server; it is stopped afterwards."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    """Start every test without a key, and pause for little."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(endpoint, "_ASK_AGAIN", endpoint._ASK_AGAIN.new(backoff_factor=0.01))


@pytest.fixture
def impatient(monkeypatch):
    """Give up an answer that does not come, but not when the machine stands still for a second."""
    monkeypatch.setattr(endpoint, "_TIMEOUT", (30, 1.5))


IMAGES = [data_url(Image.new("RGB", (n, 9))) for n in range(1, 12)]
ROWS = [f"{n}" for n in range(1, 12)]


def test_captions_keep_their_order(server):
    """Many images are asked for at once, and each gets its own answer."""
    captioner = EndpointCaptioner(server.url, "eyes", "what")
    generation = Generation(max_new_tokens=33, sample=True, temperature=0.7, candidates=2)
    made = captioner.captions(IMAGES, ROWS, generation)
    assert made == [[f"what {n}x9 0", f"what {n}x9 1"] for n in range(1, 12)]
    path, key, asked = server.seen[0]
    assert (path, key) == ("/v1/chat/completions", None)
    assert {name: asked[name] for name in ("model", "max_tokens", "temperature", "n")} == {
        "model": "eyes",
        "max_tokens": 33,
        "temperature": 0.7,
        "n": 2,
    }
    assert sorted(body["seed"] for _, _, body in server.seen) == sorted(generation.seeds(ROWS))


def test_the_key_comes_from_the_environment(server, monkeypatch):
    """A key is never an argument, which would be stored with the pipeline."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    EndpointCaptioner(server.url, "eyes", None).captions(IMAGES[:1], ROWS[:1], Generation())
    assert server.seen[0][1] == "Bearer secret"


@pytest.mark.parametrize("key", ["secret", ""])
def test_a_netrc_is_not_asked(key, server, monkeypatch, tmp_path):
    """What the user's `.netrc` has for the server neither replaces the key nor stands in for it."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("OPENAI_API_KEY", key)
    server.statuses = [503] * 4  # so that the server is asked for its models, too
    EndpointCaptioner(server.url, "eyes", None).captions(IMAGES[:1], ROWS[:1], Generation())
    signed = f"Bearer {key}" if key else None
    assert {seen[1] for seen in server.seen} == {signed}
    assert server.probed == [("/v1/models", signed)]


def test_greedy_means_temperature_zero(server):
    """Without sampling the server is asked for its likeliest answer."""
    EndpointCaptioner(server.url, "eyes", None).captions(IMAGES[:1], ROWS[:1], Generation())
    asked = server.seen[0][2]
    assert (asked["temperature"], asked["top_p"], asked["n"]) == (0.0, 1.0, 1)


def test_the_second_attempt_is_another_request(server):
    """What is asked for once more is asked for in a way that can give another answer."""
    captioner = EndpointCaptioner(server.url, "eyes", None)
    for generation in (Generation(), Generation().stronger()):
        captioner.captions(IMAGES[:1], ROWS[:1], generation)
    first, second = (asked for _, _, asked in server.seen)
    assert second["seed"] != first["seed"]
    assert (second["temperature"], second["top_p"], second["frequency_penalty"]) == (1.0, 0.9, 0.5)
    assert {name for name in second if second[name] != first.get(name)} == {
        *("seed", "temperature", "top_p", "frequency_penalty")
    }


@pytest.mark.parametrize(("ours", "theirs"), [(1.4, 0.4), (0.9, -0.1), (9.0, 2.0)])
def test_repetition_has_its_price(ours, theirs, server):
    """A penalty for repetition is told in the way that servers know, and within their bounds."""
    EndpointCaptioner(server.url, "eyes", None).captions(
        IMAGES[:1], ROWS[:1], Generation(repetition_penalty=ours)
    )
    assert server.seen[0][2]["frequency_penalty"] == theirs


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"num_beams": 4, "candidates": 4},
            "candidates: 4 of them need sample, with an endpoint.",
        ),
        (
            {"num_beams": 4},
            "num_beams: an endpoint has no such setting; set num_beams to 1, also with a preset.",
        ),
        (
            {"min_new_tokens": 4, "no_repeat_ngram_size": 2},
            (
                "min_new_tokens, no_repeat_ngram_size: an endpoint has no such setting; "
                "set min_new_tokens to 0 and no_repeat_ngram_size to 0, also with a preset."
            ),
        ),
    ],
)
def test_what_no_server_can_do_is_refused(settings, message):
    """A setting that would be without effect is named, before anything is loaded or asked for."""
    models = CaptionModels(model_id="eyes", endpoint="http://127.0.0.1:9/v1", clip_model_id="none")
    with pytest.raises(InvalidArgumentError) as caught:
        models.start([Ask(Generation(**settings))], Choice(), Frame(), [])
    assert str(caught.value) == message


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("failure", ["cut", "stop_halfway", "hang", "hang_halfway"])
def test_a_lost_answer_is_asked_for_again(failure, server):
    """A connection that ends early, or hangs, is a failed attempt and no more."""
    server.statuses = [failure, failure, 503]
    made = EndpointCaptioner(server.url, "eyes", "what").captions(
        IMAGES[:1], ROWS[:1], Generation()
    )
    assert made == [["what 1x9 0"]]
    assert len(server.seen) == 4


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("hang", "ReadTimeout: no answer"),
        ("hang_halfway", "ReadTimeout: no answer"),
        ("stop_halfway", "ChunkedEncodingError: no answer"),
    ],
)
def test_an_answer_that_never_comes_is_one_error(failure, message, server):
    """An image that the server cannot get through with costs one row."""
    server.statuses = [failure] * 9
    (error,) = EndpointCaptioner(server.url, "eyes", None).captions(
        IMAGES[:1], ROWS[:1], Generation()
    )
    assert isinstance(error, UnusableError)
    assert (error.reason, str(error)) == ("endpoint_error", message)
    assert len(server.seen) == 4


def test_a_wrong_address_is_told_at_once():
    """What is no URL is not tried again."""
    with pytest.raises(InputDataError, match=r"^endpoint nowhere/chat/completions: MissingSchema"):
        EndpointCaptioner("nowhere", "eyes", None).captions(IMAGES[:1], ROWS[:1], Generation())


def test_a_busy_server_is_asked_again(server):
    """429 and 503 pass: the same question is asked again."""
    server.statuses = [429, 503]
    made = EndpointCaptioner(server.url, "eyes", "what").captions(
        IMAGES[:1], ROWS[:1], Generation()
    )
    assert made == [["what 1x9 0"]]
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "401, it wants a key: set OPENAI_API_KEY."),
        (403, "403, it forbids it to this key: check OPENAI_API_KEY."),
        (404, "404, it does not know the model, or the path: the URL ends in /v1 as a rule."),
    ],
)
def test_what_the_user_can_fix_ends_the_step(server, status, reason):
    """A wrong model, path or key fails all images alike, so it is told at once."""
    server.statuses = [status]
    with pytest.raises(InputDataError) as caught:
        EndpointCaptioner(server.url, "eyes", None).captions(IMAGES[:1], ROWS[:1], Generation())
    assert str(caught.value) == (
        f'endpoint {server.url}/chat/completions: {reason} {{"error": "no such luck"}}'
    )


def refusals(server, statuses, requests=1):
    """Return what a captioner makes of one image after the other, of those that are refused."""
    server.statuses = list(statuses)
    captioner = EndpointCaptioner(server.url, "eyes", "what", most_requests=requests)
    return [captioner.captions(IMAGES[:1], ROWS[:1], Generation())[0] for _ in statuses]


@pytest.mark.parametrize(
    "statuses", [[400] * 7, [200, *[400] * 20], [*[400] * 7, 200, 400]], ids=["few", "one", "late"]
)
def test_a_refused_image_is_a_reject(statuses, server):
    """A safety filter refuses some images: each costs its row, also many in a row."""
    for status, made in zip(statuses, refusals(server, statuses), strict=True):
        if status == 200:
            assert made == ["what 1x9 0"]
        else:
            assert (made.reason, str(made)) == ("refused", '400: {"error": "no such luck"}')
    assert len(server.seen) == len(statuses)


def test_refusals_that_overtake_the_first_captions(server):
    """Of many requests at a time, those that are refused are back before any caption is."""
    assert len(refusals(server, [*[400] * 20, 200], requests=64)) == 21


def test_a_server_that_refuses_all_ends_the_step(server):
    """What refuses the first eight images, and captions none, is no filter; errors are neither."""
    with pytest.raises(InputDataError) as caught:
        refusals(server, [400, 413, *[400] * 7])
    assert str(caught.value) == (
        f"endpoint {server.url}/chat/completions: 400, it refuses the request, and the 7 before "
        'it. {"error": "no such luck"}'
    )


def test_a_busy_server_says_when(server):
    """A server that says for how long it is busy is asked no sooner."""
    server.statuses, server.busy = [503], "1"
    start = time.monotonic()
    EndpointCaptioner(server.url, "eyes", None).captions(IMAGES[:1], ROWS[:1], Generation())
    assert time.monotonic() - start >= 1
    assert len(server.seen) == 2


def test_no_server_keeps_a_step_waiting_for_long(server):
    """However long a server wants to be left alone, it is asked after half a minute."""
    waits = []
    server.statuses, server.busy = [503] * 9, "86400"
    captioner = EndpointCaptioner(server.url, "eyes", None)
    with patch("urllib3.util.retry.time.sleep", waits.append):
        (error,) = captioner.captions(IMAGES[:1], ROWS[:1], Generation())
    assert waits == [30, 30, 30]
    assert str(error).startswith("503: ")


def test_a_server_that_is_away_costs_no_row(server):
    """One that answers nothing else either ends the step, which may then be tried again."""
    server.statuses, server.away = [503] * 9, True
    captioner = EndpointCaptioner(server.url, "eyes", None)
    with pytest.raises(InputDataError, match="503, and it answers nothing else") as caught:
        captioner.captions(IMAGES[:1], ROWS[:1], Generation())
    assert is_temporary(caught.value)


@pytest.mark.parametrize("status", [301, 413])
def test_one_refused_image_is_one_error(server, status):
    """An answer about this image only, or a redirect, which is not followed, costs one row."""
    server.statuses = [status]
    (error,) = EndpointCaptioner(server.url, "eyes", None).captions(
        IMAGES[:1], ROWS[:1], Generation()
    )
    assert isinstance(error, UnusableError)
    assert (error.reason, str(error)) == (
        "endpoint_error",
        f'{status}: {{"error": "no such luck"}}',
    )


def test_nonsense_is_an_error(server):
    """A body that is no chat completion costs one row."""
    server.body = "<html>hello</html>"
    (error,) = EndpointCaptioner(server.url, "eyes", None).captions(
        IMAGES[:1], ROWS[:1], Generation()
    )
    assert str(error) == "not a chat completion: <html>hello</html>"


def choice(content, end="stop"):
    """Return a choice of a completion."""
    return {"message": {"content": content}, "finish_reason": end}


def answered(server, *choices):
    """Return what a captioner makes of a completion."""
    server.body = json.dumps({"choices": choices})
    (made,) = EndpointCaptioner(server.url, "eyes", None).captions(
        IMAGES[:1], ROWS[:1], Generation()
    )
    return made


PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
    {"type": "text", "text": "A dog"},
    {"type": "text", "text": " on a sofa."},
]


@pytest.mark.parametrize(
    ("choices", "texts"),
    [
        ([choice("A dog."), choice("A cat.", None)], ["A dog.", "A cat."]),
        ([choice("A dog on", "length"), choice("A cat.")], ["A cat."]),
        ([choice("A", "content_filter"), choice("A cat.")], ["A cat."]),
        ([choice(PARTS)], ["A dog on a sofa."]),
        ([choice([])], [""]),
        ([choice(None)], [""]),
        ([], []),
    ],
)
def test_captions_are_whole_texts(choices, texts, server):
    """Parts are joined; a choice that was cut off is none while there is another."""
    assert answered(server, *choices) == texts


@pytest.mark.parametrize(
    ("end", "reason", "message"),
    [
        ("length", "cut_off", "it ended at max_new_tokens, which may be too few: 'A dog on a'"),
        ("content_filter", "refused", "a content filter stopped it: 'A dog on a'"),
    ],
)
def test_a_caption_that_was_cut_off_is_none(end, reason, message, server):
    """Half a sentence is no caption; the row's error says which end it met."""
    made = answered(server, choice("A dog on a", end), choice("A cat", end))
    assert (made.reason, str(made)) == (reason, message)


@pytest.mark.parametrize("content", [7, ["A dog"], [{"type": "text"}], {"text": "A dog"}])
def test_content_of_another_kind_is_an_error(content, server):
    """What is neither text nor parts is not taken for a caption."""
    made = answered(server, choice(content))
    assert made.reason == "endpoint_error"
    assert str(made).startswith("not a chat completion: ")


def written(server, *, retry_poor=True):
    """Return the draft that a writer makes of the server's answers."""
    writer = CaptionWriter(
        EndpointCaptioner(server.url, "eyes", None),
        BatchSize(1),
        [Ask(Generation(retry_poor=retry_poor))],
    )
    draft = Draft(FeedRow("1", b""), pixels=IMAGES[0])
    writer.write(Group(items=[draft]))
    return draft


def test_a_caption_that_was_cut_off_is_asked_for_again(server):
    """The second attempt may be shorter, and then it is the caption."""
    server.texts, server.ends = ["a cat on", "a cat"], ["length"]
    draft = written(server)
    assert (draft.text, draft.source) == ("a cat", "model, second attempt")
    assert draft.problem is None


@pytest.mark.parametrize(("retry_poor", "asked"), [(True, 2), (False, 1)])
def test_a_caption_that_is_cut_off_twice_is_a_reject(retry_poor, asked, server):
    """As it is at once, where no second attempt is wanted."""
    server.texts, server.ends = ["a cat on", "a dog on"], ["length", "length"]
    draft = written(server, retry_poor=retry_poor)
    assert draft.problem.reason == "cut_off"
    assert len(server.seen) == asked


def test_what_a_model_thought_is_no_part_of_its_caption(server):
    """A reasoning model's caption is what follows."""
    server.texts = ["<think>A dog? A dog.\nYes.</think>\n\nA dog"]
    draft = written(server)
    assert (draft.text, draft.source) == ("A dog", "model")


@pytest.mark.parametrize(
    ("second", "status", "expected"),
    [
        ("a cat", 200, ("a cat", "model, second attempt")),
        ("a dog dog", 200, ("a dog dog", "model, second attempt")),
        ("I'm sorry, no.", 200, ("a cat cat", "model")),
        ("", 200, ("a cat cat", "model")),
        ("a cat", 413, ("a cat cat", "model")),
        ("a cat", 400, ("a cat cat", "model")),
    ],
)
def test_a_first_caption_stays_for_want_of_a_second(second, status, expected, server):
    """The row keeps the caption it has where the second attempt is none, and says which it is."""
    server.texts, server.statuses = ["a cat cat", second], [200, status]
    draft = written(server)
    assert draft.problem is None
    assert (draft.text, draft.source) == expected
    assert len(server.seen) == 2


def test_no_server():
    """A server that is not there is told in one line."""
    with pytest.raises(InputDataError) as caught:
        EndpointCaptioner("http://127.0.0.1:9/v1", "eyes", None).captions(
            IMAGES[:1], ROWS[:1], Generation()
        )
    assert str(caught.value) == (
        "endpoint http://127.0.0.1:9/v1/chat/completions: ConnectionError; "
        "is the server running there?"
    )


def saved(width: int, height: int, kind: str = "JPEG") -> bytes:
    """Return an image file of a size."""
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, kind)
    return file.getvalue()


def captioned(server, count, **models):
    """Return the captions of so many images, the n-th of them n pixels wide."""
    given = CaptionModels(model_id="eyes", endpoint=server.url, prompt="what", **models)
    captioning = given.start([Ask(Generation())], Choice(), Frame(), [])
    rows = pa.record_batch(
        {
            "id": [f"{n:03d}" for n in range(1, count + 1)],
            "image": pa.array([saved(n, 9) for n in range(1, count + 1)], pa.binary()),
        }
    )
    try:
        made = [*captioning.batches(iter([rows]), Rejects())]
    finally:
        captioning.close()
    return pa.Table.from_batches(made)["caption"].to_pylist()


def test_many_are_asked_for_at_once(server):
    """As many as the step says; while one answer is slow, others go on, and order is kept."""
    others = [lambda: time.sleep(0.05)] * 39
    server.pauses = [lambda: until(lambda: len(server.seen) == len(others)), *others]
    assert captioned(server, 40, endpoint_requests=10) == [f"what {n}x9 0" for n in range(1, 41)]
    assert 5 <= server.most_at_once <= 10
    _, _, last = server.seen[-1]  # the slow one, which was among the first to be asked about
    assert last["messages"][0]["content"][1]["image_url"]["url"] in IMAGES


@pytest.mark.parametrize(
    ("size", "most", "sent"),
    [
        ((4000, 3000), 1024 * 1024, (1182, 887)),
        ((4000, 200), 200_000, (2000, 100)),
        ((300, 200), 1024 * 1024, (300, 200)),
        ((3000, 2), 1024, (1024, 1)),
    ],
)
def test_images_are_sent_within_the_budget(size, most, sent):
    """They keep their shape, and are never enlarged."""
    url = EndpointImages(most)(saved(*size))
    data = base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(data)).size == sent
    assert sent[0] * sent[1] <= most
