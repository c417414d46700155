"""Several captions, tags, masks and images of the class: each layout has them its trainer's way."""

import io
import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel

from fondant_spec.errors import InputDataError, InvalidDatasetError
from fondant_spec.testing import Result, run_component
from fondant_spec.worker.component_code import load_module
from image_toolkit.publishing.hashed_folder import HashedFolder
from image_toolkit.training.text_budgets import estimate
from image_toolkit.training.trained_models import TRAINED_MODELS
from tests.made_images import photo

COMPONENT = Path(__file__).parents[1]
TEXTS, NUMBERS = pa.list_(pa.string()), pa.list_(pa.float32())
CLASS = "a photo of a dog"
LAYOUTS = load_module(COMPONENT, "layouts").LAYOUTS
SD15 = [name for name, models in TRAINED_MODELS.items() if "sd15" in models]


def mask(left: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """Return a PNG, white from a column on."""
    grey = np.zeros(size[::-1], np.uint8)
    grey[:, left:] = 255
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    return buffer.getvalue()


def rows(images: Sequence[bytes], **columns: object) -> pa.Table:
    """Return a table; columns that are lists of lists hold texts, but for `tag_weights`."""
    types = {"more_captions": TEXTS, "tags": TEXTS, "tag_weights": NUMBERS, "mask": pa.binary()}
    types |= {"embedding": NUMBERS}
    arrays = {
        name: pa.array(cells, types.get(name, pa.string())) for name, cells in columns.items()
    }
    return pa.table({"image": pa.array(images, pa.binary()), **arrays})


def export(table: pa.Table, tmp_path: Path, **arguments: object) -> Result:
    """Run the component, which reads back what it wrote; `out` is where that is."""
    return run_component(
        COMPONENT,
        table,
        tmp_path,
        options={"max_reject_share": "1"},
        **{"output_path": str(tmp_path / "out"), **arguments},
    )


def two_captions() -> pa.Table:
    """Return images of which the first has two captions and tags, one of more weight."""
    return rows(
        [photo(0), photo(1)],
        caption=["a {red|blue} cat", "a dog"],
        more_captions=[["a cat\non a mat", "a {red|blue} cat", " "], None],
        tags=[["cat", "sitting, still"], []],
        tag_weights=[[1.0, 2.5], None],
    )


def test_each_trainer_has_captions_and_tags_its_own_way(tmp_path):
    """Lines, a list, or one that is drawn; tags by themselves, or behind each caption."""
    export(two_captions(), tmp_path, layouts=SD15)
    out, name = tmp_path / "out", "000000000000"
    tags = ", cat, sitting, still"
    lines = [f"a {{{{red|blue}}}} cat{tags}", f"a cat on a mat{tags}"]
    assert (out / f"kohya/train/1_images/{name}.txt").read_text().split("\n") == lines
    assert "enable_wildcard = true" in (out / "kohya/dataset.toml").read_text()
    told = json.loads((out / "kohya/metadata.json").read_text())[f"{name}.jpg"]
    assert told["caption"] == "a {{red|blue}} cat\na cat on a mat"
    assert (told["tags"], told["image_size"]) == ("cat, sitting, still", [40, 30])
    plain = ["a {red|blue} cat", "a cat\non a mat"]
    lines = [" ".join(caption.split()) + tags for caption in plain]
    assert (out / f"onetrainer/train/{name}.txt").read_text().split("\n") == lines
    assert (out / f"ai-toolkit/train/{name}.txt").read_text() in lines
    listed = pq.read_table(out / "simpletuner/train.parquet")["caption"].to_pylist()
    assert listed == [[caption + tags for caption in plain], ["a dog"]]
    shuffled = yaml.safe_load((out / f"everydream2/train/{name}.yaml").read_text())
    assert shuffled["main_prompt"] in plain
    assert shuffled["tags"] == ["cat", {"tag": "sitting, still", "weight": 2.5}]
    assert (out / "everydream2/train/local.yaml").read_text() == "shuffle_tags: true\n"
    for place in ("imagefolder", "parquet"):
        read = datasets.load_dataset(str(out / place), split="train")
        assert read["text"][:] == [plain, ["a dog"]]
        assert read["tags"][0] == ["cat", "sitting, still"]
    archive = datasets.load_dataset(str(out / "webdataset"), split="train")
    assert archive["txt"][:] == [plain[0], "a dog"]
    assert [row["more_captions"] for row in archive["json"]] == [plain[1:], []]


def test_space_around_a_caption_is_taken_off_before_its_tags(tmp_path):
    """Where a trainer takes that space off, tags stand right behind the caption."""
    table = rows([photo(0)], caption=["  a cat \n"], tags=[["red"]])
    export(table, tmp_path, layouts=SD15)
    out = tmp_path / "out"
    for place in ("kohya/train/1_images", "onetrainer/train", "ai-toolkit/train"):
        assert (out / place / "000000000000.txt").read_text() == "a cat, red"
    told = json.loads((out / "kohya/metadata.json").read_text())["000000000000.jpg"]
    assert (told["caption"], told["tags"]) == ("a cat", "red")
    listed = pq.read_table(out / "simpletuner/train.parquet")["caption"].to_pylist()
    assert listed == ["a cat, red"]


def test_trainers_of_one_caption_draw_it_by_lot(tmp_path):
    """All captions come to their right over the images, the same for an image each time."""
    table = rows(
        [photo(number) for number in range(24)],
        caption=["one"] * 24,
        more_captions=[["two"]] * 24,
    )
    drawn = []
    for place in ("a", "b"):
        export(table, tmp_path, layouts=["musubi-tuner"], output_path=str(tmp_path / place))
        text = (tmp_path / place / "musubi-tuner" / "train.jsonl").read_text()
        drawn.append([json.loads(line)["caption"] for line in text.splitlines()])
    assert drawn[0] == drawn[1]
    assert 4 < drawn[0].count("two") < 20
    readme = (tmp_path / "a" / "musubi-tuner" / "README.md").read_text()
    assert "of several, one was drawn by lot" in readme


def test_scripts_for_flux_get_a_text_and_the_rest_beside_it(tmp_path):
    """They cannot draw from a list."""
    export(two_captions(), tmp_path, base_model="flux")
    read = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"), split="train")
    assert read["text"][:] == ["a {red|blue} cat", "a dog"]
    assert read["more_captions"][0] == ["a cat\non a mat"]


def test_a_row_may_bring_a_list_or_tags_alone(tmp_path):
    """Of a list the first is the main caption; tags without a caption are the caption."""
    table = rows(
        [photo(number) for number in range(4)],
        more_captions=[["a", "b"], None, [], None],
        tags=[None, ["1girl", "solo"], ["\u200b"], None],
    )
    result = export(table, tmp_path, layout="onetrainer")
    texts = sorted((tmp_path / "out" / "train").glob("*.txt"))
    assert [text.read_text() for text in texts] == ["a\nb", "1girl, solo"]
    assert result.rejects["reason"].to_pylist() == ["no_caption"] * 2


def test_weights_that_are_none_are_rejects(tmp_path):
    """A weight for each tag, above 0."""
    table = rows(
        [photo(number) for number in range(3)],
        caption=["x"] * 3,
        tags=[["a", "b"]] * 3,
        tag_weights=[[1.0], [1.0, -1.0], [1.0, None]],
    )
    result = export(table, tmp_path)
    assert result.rejects["reason"].to_pylist() == ["bad_tags"] * 2
    assert result.rejects["message"].to_pylist() == [
        "there are 1 weights for 2 tags",
        "tag 'b' has the weight -1.0, which must be above 0",
    ]


def test_rows_without_any_text_are_refused(tmp_path):
    """Where no field is one of captions, the error says how to name it."""
    with pytest.raises(InputDataError, match=r"the rows have no field 'caption'; say which it is"):
        export(rows([photo(0)], alt=["x"]), tmp_path)


def with_class(**columns: Sequence[object]) -> pa.Table:
    """Return four images to train on and four of the class, and more columns of eight cells."""
    images = [photo(number) for number in (0, 1, 2, 3, 10, 11, 12, 13)]
    prompts = [None, " ", None, None, *[CLASS] * 4]
    captions = ["sks dog"] * 4 + ["never read"] * 4
    order = [4, 0, 1, 5, 2, 3, 6, 7]  # rows of the class come anywhere
    table = rows(images, caption=captions, class_prompt=prompts, **columns)
    return table.take(pa.array(order))


def test_each_trainer_has_images_of_the_class_its_own_way(tmp_path):
    """A subset that is told from the others, where the trainer can tell; captions of the class."""
    export(with_class(tags=[["x"]] * 8), tmp_path, layouts=SD15)
    out = tmp_path / "out"
    assert json.loads((out / "export.json").read_text())["pairs"] == {
        "regularization": 4,
        "train": 4,
    }
    (dataset,) = tomllib.loads((out / "kohya/dataset.toml").read_text())["datasets"]
    assert [(s["image_dir"], s.get("is_reg")) for s in dataset["subsets"]] == [
        ("train/1_images", None),
        ("regularization/1_images", True),
    ]
    backends = json.loads((out / "simpletuner/config/multidatabackend.json").read_text())
    told = {b["id"]: b.get("is_regularisation_data") for b in backends}
    assert told == {"train": None, "regularization": True, "text-embeds": None}
    job = yaml.safe_load((out / "ai-toolkit/config.yaml").read_text())
    sets = job["config"]["process"][0]["datasets"]
    assert [(one["folder_path"], one.get("is_reg")) for one in sets] == [
        ("train", None),
        ("regularization", True),
    ]
    concepts = json.loads((out / "onetrainer/concepts.json").read_text())
    assert [(concept["path"], concept["type"]) for concept in concepts] == [
        ("train", "STANDARD"),
        ("regularization", "PRIOR_PREDICTION"),
    ]
    roots = json.loads((out / "everydream2/train.json").read_text())["data_root"]
    assert roots == ["train", "regularization"]
    for place in ("kohya/regularization/1_images", "onetrainer/regularization"):
        assert {text.read_text() for text in (out / place).glob("*.txt")} == {CLASS}
    read = datasets.load_dataset(str(out / "imagefolder"))
    assert {*read["regularization"]["text"]} == {CLASS}
    assert len(read["train"]) == 4


def test_musubi_learns_from_images_of_the_class_as_from_any(tmp_path):
    """It has no regularisation: they are a dataset more, with a cache of its own."""
    export(with_class(), tmp_path, layout="musubi-tuner")
    config = tomllib.loads((tmp_path / "out" / "dataset.toml").read_text())
    assert [(one["image_jsonl_file"], one["cache_directory"]) for one in config["datasets"]] == [
        ("train.jsonl", "cache/train"),
        ("regularization.jsonl", "cache/regularization"),
    ]


def test_no_image_to_train_on_is_one_of_the_class(tmp_path):
    """Neither the same file nor the same picture, by its hash or its vector."""
    vectors = np.eye(8, dtype=np.float32) * 3
    vectors[6] = vectors[2] * 0.5 + 0.01
    table = rows(
        [*map(photo, (0, 1, 2, 0)), photo(1, "PNG", size=(80, 60)), photo(5), photo(6)],
        caption=["x"] * 7,
        class_prompt=[None] * 3 + [CLASS] * 4,
        embedding=[*vectors[:3].tolist(), None, *vectors[[4, 6, 7]].tolist()],
    )
    result = export(table, tmp_path)
    told = dict(zip(*(result.rejects[c].to_pylist() for c in ("id", "message")), strict=True))
    assert told == {
        "000000000003": "the very file of 000000000000",
        "000000000004": "the picture of 000000000001, by its perceptual hash",
        "000000000005": "the picture of 000000000002, by its vector",
    }
    assert {*result.rejects["reason"].to_pylist()} == {"in_training_set"}
    assert all(result.rejects["filtered"].to_pylist())
    kept = [path.name for path in (tmp_path / "out" / "regularization").glob("*.jpg")]
    assert kept == ["000000000006.jpg"]
    line = (tmp_path / "out" / "train" / "metadata.jsonl").read_text().splitlines()[0]
    assert "embedding" not in json.loads(line)


def flat(*colour: int) -> bytes:
    """Return a picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_without_contrast_are_told_by_more_than_their_hash(tmp_path):
    """All flat pictures have one hash; the file and the vector tell which are the same."""
    images = [
        flat(255, 255, 255),
        photo(0),
        flat(255, 0, 0),
        flat(255, 255, 255),
        flat(254, 254, 254),
    ]
    table = rows(
        images,
        caption=["x"] * 5,
        class_prompt=[None] * 2 + [CLASS] * 3,
        embedding=[[1.0, 0.0], None, [0.0, 1.0], None, [1.0, 0.0]],
    )
    result = export(table, tmp_path)
    assert result.rejects["message"].to_pylist() == [
        "the very file of 000000000000",
        "the picture of 000000000000, by its vector",
    ]


def masked() -> pa.Table:
    """Return images of three kinds, two with masks."""
    images = [photo(0), photo(1, "PNG"), photo(2, "WEBP")]
    return rows(images, caption=["a", "b", "c"], mask=[mask(10), None, mask(30)])


def test_each_trainer_has_masks_its_own_way(tmp_path, caplog):
    """A suffix to the stem, a folder of the same names, or a column; white where a row has none."""
    export(masked(), tmp_path, layouts=SD15)
    out = tmp_path / "out"
    labels = sorted((out / "onetrainer/train").glob("*-masklabel.png"))
    assert [len({*Image.open(label).tobytes()}) for label in labels] == [2, 1, 2]
    assert json.loads((out / "onetrainer/config.json").read_text())["masked_training"] is True
    subset = tomllib.loads((out / "kohya/dataset.toml").read_text())["datasets"][0]["subsets"][0]
    assert subset["conditioning_data_dir"] == "masks/train"
    assert "--masked_loss" in (out / "kohya/README.md").read_text()
    backends = json.loads((out / "simpletuner/config/multidatabackend.json").read_text())
    assert backends[0]["conditioning_data"] == backends[1]["id"] == "train-masks"
    job = yaml.safe_load((out / "ai-toolkit/config.yaml").read_text())
    assert job["config"]["process"][0]["datasets"][0]["mask_path"] == "masks/train"
    for place, column in (("imagefolder", "mask"), ("parquet", "mask"), ("webdataset", "mask.png")):
        read = datasets.load_dataset(str(out / place), split="train")
        assert np.asarray(read[0][column].convert("L"))[0, :12].tolist() == [0] * 10 + [255] * 2
    assert "everydream2: its trainer takes no masks, so there are none." in caplog.text


def test_simpletuner_finds_masks_by_their_images_names(tmp_path):
    """Suffix included, so each mask is of its image's kind."""
    export(masked(), tmp_path, layout="simpletuner")
    folders = [tmp_path / "out" / name for name in ("train", "masks/train")]
    images, masks = (sorted(path.name for path in folder.iterdir()) for folder in folders)
    assert images == masks
    kinds = [Image.open(folders[1] / name).format for name in masks]
    assert kinds == ["JPEG", "PNG", "WEBP"]


def test_a_mask_of_another_image_is_a_reject(tmp_path):
    """It must be an image, and of the size of the one that it belongs to, upright."""
    table = rows(
        [photo(0), photo(1), photo(2)], caption=["x"] * 3, mask=[mask(1, (30, 40)), b"no", None]
    )
    result = export(table, tmp_path)
    assert result.rejects["reason"].to_pylist() == ["bad_mask"] * 2
    assert result.rejects["message"][0].as_py() == "the mask has 30x40 pixels, the image 40x30"


def test_masks_and_images_of_the_class_go_together_in_kohya(tmp_path):
    """A dataset with masks takes no others, so these have a dataset of their own."""
    export(with_class(mask=[mask(5)] * 8), tmp_path, layout="kohya")
    masks = tomllib.loads((tmp_path / "out" / "dataset.toml").read_text())["datasets"]
    folders = [dataset["subsets"][0]["image_dir"] for dataset in masks]
    assert folders == ["train/1_images", "regularization/1_images"]


def tokenizer_at_hand(cache: Path, repository: str, file: str) -> None:
    """Put a tokenizer of whole words into a cache of the hub."""
    place = cache / f"models--{repository.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("abc")
    tokenizer = Tokenizer(WordLevel({"<unk>": 0}, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(8)  # which a count has nothing to do with
    target = place / "snapshots" / "abc" / file
    target.parent.mkdir(parents=True)
    tokenizer.save(str(target))


def long_captions() -> pa.Table:
    """Return captions of 3, 100 and 300 words."""
    return rows([photo(n) for n in range(3)], caption=[" ".join(["x1"] * n) for n in (3, 100, 300)])


CLIP = ("openai/clip-vit-large-patch14", "tokenizer.json")
T5 = ("black-forest-labs/FLUX.1-dev", "tokenizer_2/tokenizer.json")


@pytest.mark.parametrize(
    ("arguments", "tokenizer", "told"),
    [
        ({"layout": "imagefolder"}, CLIP, "CLIP reads 75 tokens of a caption; the longest has 300"),
        ({"layout": "kohya"}, CLIP, "CLIP reads 225 tokens of a caption; the longest has 300"),
        ({"base_model": "flux"}, T5, "T5 reads 512 tokens of a caption; the longest has 301"),
    ],
)
def test_how_many_captions_are_longer_than_is_read_is_told(
    tmp_path, monkeypatch, caplog, arguments, tokenizer, told
):
    """By the tokenizer of the model's encoder, in the card and the log; none is cut."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    tokenizer_at_hand(tmp_path / "hub", *tokenizer)
    export(long_captions(), tmp_path, **arguments)
    over = {"75": 2, "225": 1, "512": 0}[told.split()[2]]
    ends = f" Of {over} of 3 captions, which are longer, the ends are not read." * bool(over)
    told = f"{told}, by its own tokenizer.{ends}"
    assert f"{told}\n" in (tmp_path / "out" / "README.md").read_text()
    assert (told in caplog.text) == bool(over)
    if arguments != {"layout": "kohya"}:
        field, marks = ("t5_tokens", 1) if tokenizer is T5 else ("clip_tokens", 0)
        lines = (tmp_path / "out" / "train" / "metadata.jsonl").read_text().splitlines()
        assert [json.loads(line)[field] - marks for line in lines] == [3, 100, 300]


def test_without_a_tokenizer_the_count_is_called_an_estimate(tmp_path, monkeypatch):
    """It is near: English words are a token, as a rule, and other scripts take more."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    export(long_captions(), tmp_path)
    readme = (tmp_path / "out" / "README.md").read_text()
    assert re.search(r"the longest has 600, by an estimate\. Of 2 of 3 captions", readme)
    counted = {
        "a photograph of an astronaut riding a horse, highly detailed": 11,
        "1girl, solo, long hair, looking at viewer, blush, smile": 15,
        "белая кошка сидит на подоконнике": 32,
        "一只白猫坐在窗台上": 22,
    }
    for text, tokens in counted.items():
        assert abs(estimate(text) - tokens) <= tokens / 3


def written(name: str, path: Path) -> object:
    """Return a layout with a pair to train on, that has all there is, and one of the class."""
    texts, pairs, masks, layouts = (
        load_module(COMPONENT, module)
        for module in ("pair_texts", "training_pairs", "masks", "layout")
    )
    folder = HashedFolder(path)
    settings = layouts.ExportSettings(place=str(path), several_captions=True, masks=True)
    layout = LAYOUTS[name](name, folder, settings)
    tags = (texts.Tag("cat"), texts.Tag("still", 2.5))
    white = masks.mask_of(None, 40, 30)
    several = texts.Texts(("a {red|blue} cat", "a dog"), tags)
    of_class = texts.Texts((CLASS,))
    make, size = pairs.Pair, ({}, 40, 30, None)
    layout.add(make("0", "train", photo(0), ".jpg", several, *size, masks.Mask(mask(10))))
    layout.add(make("1", "regularization", photo(1), ".jpg", of_class, *size, white))
    layout.close()
    front = yaml.safe_dump(layout.front_matter("default"))
    folder.write("README.md", f"---\n{front}---\n".encode())
    return layout


ANOTHER_MASK = "train/0 reads back with another mask than was given"
NOT_TOLD = "train/1 reads back, but was not written, or only once"
BROKEN = [
    (
        "kohya",
        "train/1_images/0.txt",
        b"{{red|blue}}",
        b"{red|blue}",
        "is changed by enable_wildcard",
    ),
    (
        "kohya",
        "metadata.json",
        b"a dog",
        b"a cow",
        "metadata.json has other captions of 0.jpg than",
    ),
    ("kohya", "masks/train/0.png", None, mask(30), ANOTHER_MASK),
    ("kohya", "dataset.toml", b"conditioning_data_dir", b"# ", ANOTHER_MASK),
    ("simpletuner", "config/multidatabackend.json", b"is_regular", b"is_", NOT_TOLD),
    ("simpletuner", "masks/train/0.jpg", None, photo(5), ANOTHER_MASK),
    ("ai-toolkit", "config.yaml", b"is_reg: true", b"is_reg: false", NOT_TOLD),
    ("ai-toolkit", "config.yaml", b"mask_path", b"masks_path", ANOTHER_MASK),
    ("onetrainer", "concepts.json", b"PRIOR_PREDICTION", b"STANDARD", NOT_TOLD),
    ("onetrainer", "config.json", b"true", b"false", ANOTHER_MASK),
    ("everydream2", "train/0.yaml", b"2.5", b"0.5", "reads back as"),
    ("everydream2", "train.json", b'"regularization"', b'"train"', "train/0 reads back|regulari"),
    ("imagefolder", "train/masks/0.png", None, mask(30), ANOTHER_MASK),
    ("parquet", "train-00000.parquet", b"a dog", b"a cow", "and 'a cow', not"),
]


@pytest.mark.parametrize(("name", "file", "old", "new", "message"), BROKEN)
def test_a_broken_export_is_found(tmp_path, name, file, old, new, message):
    """What its trainer would pass by or misread, the layout's reader does not accept."""
    layout = written(name, tmp_path)
    layout.check()
    content = (tmp_path / file).read_bytes()
    assert old is None or old in content
    (tmp_path / file).write_bytes(new if old is None else content.replace(old, new))
    with pytest.raises(InvalidDatasetError, match=message):
        layout.check()
