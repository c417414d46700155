"""Several captions an image: prompts one after the other, words of the row in them, alt texts."""

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.testing import Result, run_component
from image_toolkit.models.captioning.caption_text import as_tags
from tests.tiny_models import make_model

COMPONENT = Path(__file__).parents[1]
ANSWERS = {"list": "1. Red hat\n2. cat\n- Cat.", "refuse": "I'm sorry, I can't."}
MORE = {"more_captions": {"type": "array", "items": {"type": "string"}}}


class Echo(BaseHTTPRequestHandler):
    """Says back what it was asked, and how many tokens it may answer with."""

    def do_POST(self) -> None:
        """Answer one question."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][0]["content"][0]["text"]
        message = {"content": ANSWERS.get(text, f"<{text}|{asked['max_tokens']}>")}
        body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """Run a server that says back what it is asked, and return its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def photo() -> bytes:
    """Return a small JPEG."""
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, "JPEG")
    return file.getvalue()


def captioned(photo: bytes, tmp_path: Path, columns: dict[str, pa.Array], **arguments) -> Result:
    """Caption an image for each cell of the columns; all fields of rows are consumed."""
    rows = len(next(iter(columns.values()))) if columns else 1
    table = pa.table({"image": pa.array([photo] * rows, pa.binary()), **columns})
    options = {
        "produces": json.dumps(MORE),
        "max_reject_share": "1",
        **arguments.pop("options", {}),
    }
    return run_component(COMPONENT, table, tmp_path, options=options, **arguments)


def texts(result: Result) -> list[list[str]]:
    """Return all captions of each row, the main one first."""
    pairs = zip(*(result.table[name].to_pylist() for name in ("caption", *MORE)), strict=True)
    return [[first, *others] for first, others in pairs]


def test_prompts_are_asked_one_after_the_other(echo, photo, tmp_path):
    """Each may name the caption before it, without what is put around, and fields of the row."""
    columns = {
        "tags": pa.array([["a", "b"], None]),
        "class": pa.array(["cat", "dog"]),
        "alt_text": pa.array(["my  cat", None]),
    }
    result = captioned(
        photo,
        tmp_path,
        columns,
        endpoint=echo,
        model_id="echo",
        prompts=[
            "what of {class}, {tags}; {alt_text}?",
            {"prompt": "shorten {caption}", "max_new_tokens": 7},
        ],
        trigger_word="sks {class}",
        options={"consumes": json.dumps({"tags": "tags", "class": "class"})},
    )
    assert texts(result) == [
        [
            "sks cat, <what of cat, a, b; my cat?|50>",
            "sks cat, <shorten <what of cat, a, b; my cat?|50>|7>",
        ],
        ["sks dog, <what of dog,;?|50>", "sks dog, <shorten <what of dog,;?|50>|7>"],
    ]
    metadata = result.manifest.fields["caption"].metadata
    assert metadata["prompts"] == ["what of {class}, {tags}; {alt_text}?", "shorten {caption}"]


def test_tags_stand_around_captions(echo, photo, tmp_path):
    """As `tag_images` gives them; where a row has none, nothing is left of their place."""
    result = captioned(
        photo,
        tmp_path,
        {"tags": pa.array([["red thing", "^_^"], []])},
        endpoint=echo,
        model_id="echo",
        prompt="what",
        prefix="{tags}: ",
        options={"consumes": json.dumps({"tags": "tags"})},
    )
    captions = result.table["caption"].to_pylist()
    assert captions == ["red thing, ^_^: <what|50>", ": <what|50>"]


def test_a_list_of_tags_is_a_caption_of_its_own_style(echo, photo, tmp_path):
    """Lines, numbers and marks become tags between commas, each once."""
    asked = ["what", {"prompt": "list", "style": "tags"}]
    result = captioned(photo, tmp_path, {}, endpoint=echo, model_id="echo", prompts=asked)
    assert texts(result) == [["<what|50>", "Red hat, cat"]]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("a cat, red hat", "a cat, red hat"),
        ("- 'a cat'\n* b.\n• c", "a cat, b, c"),
        ("1) 1girl\n2) 1girl", "1girl"),
        ("<think>a, b</think> c; d", "c, d"),
        ("4k, 2 dogs, o_o", "4k, 2 dogs, o_o"),
        (" \n,", ""),
    ],
)
def test_lists_become_tags(text, tags):
    """Whatever a model puts between and around them."""
    assert as_tags(text) == tags


def test_a_further_caption_that_fails_is_missed_and_told(echo, photo, tmp_path, caplog):
    """The row has its others; a caption that comes twice counts once."""
    asked = ["what", "refuse", "what", "more {caption}"]
    result = captioned(photo, tmp_path, {}, endpoint=echo, model_id="echo", prompts=asked)
    assert texts(result) == [["<what|50>", "<more <what|50>|50>"]]
    assert "Further captions that could not be had: refused 1." in caplog.text


def test_alt_texts_and_captions_of_ones_own_are_kept_beside(echo, photo, tmp_path):
    """The alt text is one more; to what a row brings along, the others are asked all the same."""
    columns = {
        "caption": pa.array(["mine", None, None]),
        "alt_text": pa.array(["alt", "alt", None]),
        "class_prompt": pa.array([None, None, "a cat"]),
    }
    result = captioned(
        photo,
        tmp_path,
        columns,
        endpoint=echo,
        model_id="echo",
        prompts=["what", "more {caption}"],
        keep_existing=True,
        keep_alt_text=True,
        trigger_word="sks",
        options={"produces": json.dumps({**MORE, "caption_source": "string"})},
    )
    assert texts(result) == [
        ["mine", "sks, <more mine|50>", "sks, alt"],
        ["sks, <what|50>", "sks, <more <what|50>|50>", "sks, alt"],
        ["a cat"],  # a regularisation image: by its class alone
    ]
    assert result.table["caption_source"].to_pylist() == ["existing", "model", "class"]


def test_prompts_of_a_model_that_runs_here_differ_by_row(photo, tmp_path):
    """Rows are put together by their prompt where the model wants one for a batch."""
    model = make_model("blip", tmp_path / "blip")
    columns = {"class": pa.array(["cat", "dog", "cat", "boat on the lake"])}
    result = captioned(
        photo,
        tmp_path,
        columns,
        model_id=str(model),
        prompts=["a {class}", {"prompt": "the {class}", "min_new_tokens": 3}],
        options={"consumes": '{"class": "class"}'},
    )
    for row, kind in zip(texts(result), columns["class"].to_pylist(), strict=True):
        first, second = row
        assert first.startswith(f"a {kind}")
        assert second.startswith(f"the {kind}")
    assert texts(result)[0] == texts(result)[2]


def test_a_chat_model_answers_different_prompts_together(photo, tmp_path):
    """One batch, a conversation for each row; a caption does not depend on its neighbours."""
    model = make_model("llava", tmp_path / "llava")
    columns = {"class": pa.array(["cat", "a red boat on the lake"])}
    arguments = {"model_id": str(model), "prompt": "what {class}", "precision": "fp32"}
    consumes = {"consumes": '{"class": "class"}', "produces": "{}"}
    both = captioned(photo, tmp_path / "1", columns, **arguments, options=consumes)
    last = {"class": columns["class"].slice(1)}
    alone = captioned(photo, tmp_path / "2", last, **arguments, options=consumes)
    assert both.table["caption"][1] == alone.table["caption"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": "a", "prompts": ["b"]}, "prompts: give them instead of prompt, one at least."),
        ({"prompts": []}, "prompts: give them instead of prompt, one at least."),
        ({"prompts": [1]}, "prompts: 1 must be a text, or a mapping with a text as `prompt`."),
        (
            {"prompts": [{"prompt": "a", "max_tokens": 3}]},
            "prompts: there is no setting 'max_tokens'; did you mean 'max_new_tokens'?",
        ),
        (
            {"prompts": [{"prompt": "a", "num_beams": "3"}]},
            "prompts: num_beams must be of type int, not '3'.",
        ),
        (
            {"prompts": [{"prompt": "a", "style": "poem"}]},
            "prompts: style must be sentence or tags, not 'poem'.",
        ),
        ({"prompt": "a {subject}"}, "prompt: {subject} names no field that the step reads (none)."),
        ({"suffix": "of {place}"}, "suffix: {place} names no field that the step reads (none)."),
        (
            {"prompts": ["{caption}", "b"]},
            "prompt: {caption} names no field that the step reads (none).",
        ),
        (
            {"prompts": ["a", "b"], "options": {"produces": "{}"}},
            "prompts: further captions need a field to be in; say so: produces of this step",
        ),
        (
            {"keep_alt_text": True, "options": {"produces": "{}"}},
            "keep_alt_text: further captions need a field to be in; say so: produces of this step",
        ),
    ],
)
def test_what_cannot_be_is_refused(photo, tmp_path, arguments, message):
    """Before any image is looked at, with what is wrong."""
    with pytest.raises(InvalidArgumentError) as error:
        captioned(photo, tmp_path, {}, endpoint="http://127.0.0.1:9/v1", **arguments)
    assert str(error.value).startswith(message)
