"""Caption images, run as runners run it."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.testing import run_component
from image_toolkit.models.captioning import caption_models
from image_toolkit.models.captioning.caption_text import repeats
from image_toolkit.models.runtime.feed import Feed
from image_toolkit.models.runtime.preparation import probe_images
from image_toolkit.models.runtime.preparing_processes import PreparingProcesses
from tests.made_images import jpeg
from tests.tiny_models import make_model

COMPONENT = Path(__file__).parents[1]
EXTRAS = {"clip_score": "float32", "caption_tokens": "int32", "caption_source": "string"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny BLIP and a tiny CLIP."""
    folder = tmp_path_factory.mktemp("models")
    for kind in ("blip", "clip"):
        make_model(kind, folder / kind)
    return folder


PHOTOS = [jpeg(image) for image in probe_images(5)]


def rows(cells=PHOTOS, **columns) -> pa.Table:
    """Return a table of images and what stands beside them."""
    return pa.table({"image": pa.array(cells, pa.binary()), **columns})


def captions(result):
    """Return the captions in their order."""
    return result.table["caption"].to_pylist()


def test_every_image_gets_its_caption(models, tmp_path):
    """Images come out with a text; bad ones are rejects with a reason."""
    table = rows([PHOTOS[0], None, b"", b"GIF8", PHOTOS[1]])
    result = run_component(
        COMPONENT,
        table,
        tmp_path,
        model_id=str(models / "blip"),
        min_new_tokens=4,
        options={"max_reject_share": "1"},
    )
    assert [row["id"][-1] for row in result.table.to_pylist()] == ["0", "4"]
    assert all(len(text.split()) >= 3 for text in captions(result))
    assert [row["reason"] for row in result.rejects.to_pylist()] == [
        "missing",
        "empty",
        "not_an_image",
    ]


def test_captions_are_repeatable(models, tmp_path, monkeypatch):
    """The same seed, model and arguments give the same texts, however they are run."""
    arguments = {
        "model_id": str(models / "blip"),
        "sample": True,
        "min_new_tokens": 5,
        "precision": "fp32",
    }
    first = run_component(COMPONENT, rows(), tmp_path / "1", **arguments, batch_size=2)
    again = run_component(COMPONENT, rows(), tmp_path / "2", **arguments, batch_size=5)
    other = run_component(COMPONENT, rows(), tmp_path / "3", **arguments, seed=1)
    monkeypatch.setattr(Feed, "partitions_at_once", 2)  # as on a GPU
    beside = run_component(COMPONENT, rows(), tmp_path / "4", **arguments, rows_per_partition=1)
    assert captions(first) == captions(again) == captions(beside) != captions(other)
    assert len(set(captions(first))) == len(PHOTOS)


def test_repetition_is_generated_anew(models, tmp_path):
    """A caption that says something twice is asked for again, and comes out without it."""
    arguments = {
        "model_id": str(models / "blip"),
        "min_new_tokens": 30,
        "max_new_tokens": 40,
        "no_repeat_ngram_size": 0,
        "options": {"produces": json.dumps({"caption_source": "string"})},
    }
    result = run_component(COMPONENT, rows(), tmp_path, **arguments)
    assert set(result.table["caption_source"].to_pylist()) == {"model, second attempt"}
    assert not any(repeats(text) for text in captions(result))


def test_words_around_captions(models, tmp_path):
    """Trigger word, prefix, prompt and suffix stand where they belong."""
    result = run_component(
        COMPONENT,
        rows(),
        tmp_path,
        model_id=str(models / "blip"),
        prompt="a photo of",
        preset="unsplash_report",
        num_beams=2,
        min_new_tokens=4,
        trigger_word="sks",
        prefix="film,",
    )
    for text in captions(result):
        assert text.startswith("sks, film, a photo of ")
        assert text.endswith(", unsplash photography")
    metadata = result.manifest.fields["caption"].metadata
    assert metadata["generation"]["repetition_penalty"] == 1.4
    assert metadata["frame"] == {
        "trigger_word": "sks",
        "prefix": "film,",
        "suffix": ", unsplash photography",
    }


def test_captions_and_alt_texts_are_kept(models, tmp_path):
    """A row's own caption goes first, as it is, then its alt text by lot, then the model."""
    table = rows(
        caption=[" mine \n", "\u200b\ufeff", None, "\u00ad", None],
        alt_text=["x", "alt  1", None, "alt 3", "alt 4"],
    )
    result = run_component(
        COMPONENT,
        table,
        tmp_path,
        model_id=str(models / "blip"),
        keep_existing=True,
        alt_text_ratio=1.0,
        trigger_word="sks",
        suffix="in oil",
        options={"produces": json.dumps({"caption_source": "string"})},
    )
    sources = [text.split(",")[0] for text in result.table["caption_source"].to_pylist()]
    assert sources == ["existing", "alt_text", "model", "alt_text", "alt_text"]
    mine, first, made, *others = captions(result)
    assert mine == " mine \n"
    assert [first, *others] == [f"sks, alt {n} in oil" for n in (1, 3, 4)]
    assert made.startswith("sks, ")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("zz", "zz, alt"),
        ("zz,", "zz, alt"),
        ("zz ", "zz, alt"),
        ("zz, ", "zz, alt"),
        ("zz:", "zz: alt"),
    ],
)
def test_a_trigger_word_with_a_separator_gets_no_second_one(models, tmp_path, word, expected):
    """Whatever a person puts behind it, one separator and one space follow."""
    result = run_component(
        COMPONENT,
        rows(PHOTOS[:1], alt_text=["alt"]),
        tmp_path,
        model_id=str(models / "blip"),
        alt_text_ratio=1.0,
        trigger_word=word,
        suffix=" ",
    )
    assert captions(result) == [expected]


def test_share_of_alt_texts(models, tmp_path):
    """About the given share of rows keep their alt text, always the same ones."""
    count = 60
    table = rows([PHOTOS[0]] * count, alt_text=["words"] * count)
    kept = [
        [text == "words" for text in captions(run_component(COMPONENT, table, path, **arguments))]
        for path, arguments in (
            (
                tmp_path / name,
                {"model_id": str(models / "blip"), "alt_text_ratio": 0.5, "max_new_tokens": 2},
            )
            for name in ("1", "2")
        )
    ]
    assert kept[0] == kept[1]
    assert 18 < sum(kept[0]) < 42


def test_clip_ranks_and_scores(models, tmp_path):
    """Of several candidates the one that fits best is taken, and each pair has its score."""
    arguments = {
        "model_id": str(models / "blip"),
        "clip_model_id": str(models / "clip"),
        "sample": True,
        "min_new_tokens": 5,
        "max_new_tokens": 7,
        "retry_poor": False,
        "options": {"produces": json.dumps(EXTRAS)},
    }
    one = run_component(COMPONENT, rows(), tmp_path / "1", **arguments)
    best = run_component(COMPONENT, rows(), tmp_path / "2", **arguments, candidates=6)
    assert not any(repeats(text) for text in captions(one))  # such a one would not be compared
    scores = [result.table["clip_score"].to_pylist() for result in (one, best)]
    assert all(better >= worse - 1e-3 for worse, better in zip(*scores, strict=True))
    assert sum(scores[1]) > sum(scores[0])
    words = [len(text.replace(",", " ,").split()) for text in captions(best)]
    tokens = best.table["caption_tokens"].to_pylist()
    assert all(count >= plain for count, plain in zip(tokens, words, strict=True))


def test_a_field_that_is_not_there_is_warned_about(models, tmp_path, caplog):
    """Where rows have no captions of their own to keep, that is said, and how to name them."""
    model = str(models / "blip")
    run_component(COMPONENT, rows(), tmp_path, model_id=model, keep_existing=True)
    assert "Rows have no field 'caption'" in caplog.text
    assert "{'caption': <its name>}" in caplog.text


def test_long_captions_are_counted(models, tmp_path, caplog):
    """Captions that trainers would cut at 77 tokens are counted."""
    run_component(
        COMPONENT,
        rows(alt_text=["cat " * 90] * 2 + ["cat"] * 3),
        tmp_path,
        model_id=str(models / "blip"),
        clip_model_id=str(models / "clip"),
        alt_text_ratio=1.0,
    )
    assert "2 of 5 captions are longer than 77 tokens: Stable Diffusion" in caplog.text
    assert "2 of 5 captions are longer than 77 tokens: their CLIP scores" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"sample": True, "candidates": 2},
            "candidates: needs clip_model_id, the CLIP-like model that compares.",
        ),
        (
            {"options": {"produces": '{"clip_score": "float32"}'}},
            "clip_score: needs clip_model_id, the CLIP-like model that compares.",
        ),
        (
            {"options": {"produces": '{"colour": "string"}'}},
            (
                "produces: no field 'colour'; there is clip_score, caption_tokens, caption_source, "
                "more_captions."
            ),
        ),
        (
            {"endpoint": "http://127.0.0.1:9/v1", "preset": "everydream"},
            (
                "num_beams, min_new_tokens: an endpoint has no such setting; "
                "set num_beams to 1 and min_new_tokens to 0, also with a preset."
            ),
        ),
        (
            {"batch_size": -1},
            "caption_images: argument 'batch_size' must be at least 0, not -1.",
        ),
        (
            {"alt_text_ratio": 1.5},
            "caption_images: argument 'alt_text_ratio' must be from 0 to 1, not 1.5.",
        ),
        (
            {"temperature": -1.0},
            "caption_images: argument 'temperature' must be above 0, not -1.0.",
        ),
        (
            {"num_beams": 0},
            "caption_images: argument 'num_beams' must be at least 1, not 0.",
        ),
        (
            {"device": "gpu"},
            (
                "caption_images: argument 'device' must be a text of the form "
                "auto|cpu|cuda(:[0-9]+)?, not 'gpu'."
            ),
        ),
    ],
)
def test_what_cannot_be_is_refused(arguments, message, models, tmp_path):
    """Arguments that lack something say what."""
    with pytest.raises(InvalidArgumentError) as caught:
        run_component(COMPONENT, rows(), tmp_path, model_id=str(models / "blip"), **arguments)
    assert str(caught.value) == message


def test_a_wrong_model_is_one_line(tmp_path, monkeypatch):
    """A model that cannot be had is one line, with what to do."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputDataError, match=r"^Model 'nobody/nothing': it is not on this mach.*"):
        run_component(COMPONENT, rows(), tmp_path, model_id="nobody/nothing")


def test_processes_prepare_what_threads_prepare(models, tmp_path, monkeypatch):
    """As on a GPU: for the captioner, which need not see all images, and for CLIP, which does."""
    cells = [*PHOTOS, None, PHOTOS[0][:900], b""]
    table = rows(cells, alt_text=["a", None, "b", "", "c", "d", None, "e"])
    arguments = {
        "model_id": str(models / "blip"),
        "clip_model_id": str(models / "clip"),
        "alt_text_ratio": 0.5,
        "min_new_tokens": 4,
        "options": {"produces": json.dumps(EXTRAS), "max_reject_share": "1"},
    }
    by_threads = run_component(COMPONENT, table, tmp_path / "threads", **arguments)
    asked = []
    fill = PreparingProcesses.fill
    monkeypatch.setattr(
        PreparingProcesses, "fill", lambda self, rows: asked.extend(rows) or fill(self, rows)
    )
    monkeypatch.setattr(
        caption_models, "preparing_processes", lambda *, on_gpu: PreparingProcesses(2 + on_gpu)
    )
    result = run_component(COMPONENT, table, tmp_path / "processes", **arguments)
    assert set(map(len, asked)) == {1, 2}
    assert result.table.equals(by_threads.table)
    assert result.rejects.equals(by_threads.rejects)
