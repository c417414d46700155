"""Embeddings are those of the plain transformers model."""

import shutil
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    FlavaConfig,
    FlavaModel,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.models.embedding import embedding_stream
from image_toolkit.models.embedding.embedders import image_encoder, text_encoder
from image_toolkit.models.embedding.embedding_stream import Embedder
from image_toolkit.models.embedding.engines import Engine
from image_toolkit.models.runtime.batching import BatchSize
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.model_runner import start_runners
from tests.tiny_models import NEEDS_BF16, NEEDS_VNNI, PATCH, SIDE, SQUARE, TOWER

TEXTS = ["a photo of a cat", "two boats on a lake", "red " * 100, "a"]
KINDS = ["clip", "siglip", "siglip2"]
CPU = torch.device("cpu")


def embedded(make, cells, column, **options):
    """Return the vectors of cells, one partition of one batch."""
    embedder = Embedder(make, **options)
    embedder.load()
    ids = [f"{n:03}" for n in range(len(cells))]
    batch = pa.record_batch([pa.array(ids), pa.array(cells)], names=["id", column])
    made = list(embedder.batches(iter([batch]), column, Rejects()))
    embedder.close()
    assert [row for part in made for row in part["id"].to_pylist()] == ids
    return np.concatenate([np.stack(part["embedding"].to_numpy(False)) for part in made])  # noqa: FBT003 - zero_copy_only


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options",
    [
        {"precision": "fp32"},
        pytest.param({"precision": "bf16"}, marks=NEEDS_BF16),
        pytest.param({"precision": "int8", "device": "cpu"}, marks=NEEDS_VNNI),
        {"most": 4},
    ],
    ids=str,
)
def test_images(kind, options, tiny, photos):
    """Whatever the precision and batch size, cosines to the plain model are at least 0.999."""
    folder = tiny(kind)
    model = AutoModel.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    images = [Image.open(pa.BufferReader(photo)).convert("RGB") for photo in photos]
    with torch.inference_mode():
        inputs = processor(images=images, return_tensors="pt")
        exact = model.get_image_features(**inputs).pooler_output
    exact = torch.nn.functional.normalize(exact, dim=-1).numpy()
    ours = embedded(partial(image_encoder, str(folder)), photos, "image", **options)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert (ours * exact).sum(-1).min() >= 0.999


@pytest.fixture
def two_devices(monkeypatch):
    """Let a machine have two devices, both of them its CPU."""
    monkeypatch.setattr(embedding_stream, "devices", lambda _name: [CPU, CPU])


@pytest.mark.usefixtures("two_devices")
def test_several_devices(tiny, photos):
    """Rows come in their order, whichever device embeds them, with the vectors of one device."""
    make = partial(image_encoder, str(tiny("clip")))
    several = embedded(make, photos * 7, "image", precision="fp32", most=3)
    one = embedded(make, photos, "image", precision="fp32", most=3)
    np.testing.assert_allclose(several, np.tile(one, (7, 1)), atol=1e-5)


@pytest.mark.usefixtures("two_devices")
def test_a_device_that_fails(tiny, photos):
    """The step ends with the error, which names the device; nothing hangs."""
    embedder = Embedder(partial(image_encoder, str(tiny("clip"))), precision="fp32", most=2)
    embedder.load()
    broken = embedder._runners[1]

    def fail(_inputs):
        msg = "CUDA error: an illegal memory access was encountered"
        raise RuntimeError(msg)

    broken._run = Engine(fail)
    broken.placement = Placement(torch.device("cpu", 1), "fp32")
    ids = [f"{n:03}" for n in range(24)]
    batch = pa.record_batch([pa.array(ids), pa.array(photos * 4)], names=["id", "image"])
    with pytest.raises(RuntimeError, match="illegal memory access") as caught:
        list(embedder.batches(iter([batch]), "image", Rejects()))
    embedder.close()
    assert caught.value.__notes__ == ["This was on cpu:1."]


@pytest.mark.parametrize("kind", KINDS)
def test_texts(kind, tiny):
    """Texts, long ones cut, have the vectors of the plain model with its own padding."""
    folder = tiny(kind)
    model, tokenizer = (
        AutoModel.from_pretrained(folder).eval(),
        AutoTokenizer.from_pretrained(folder),
    )
    longest = model.config.text_config.max_position_embeddings
    exact = []
    with torch.inference_mode():
        for text in TEXTS:
            tokens = tokenizer(
                text.strip(),
                truncation=True,
                max_length=longest,
                padding=False if kind == "clip" else "max_length",
                return_tensors="pt",
            )
            exact.append(model.get_text_features(**tokens).pooler_output[0])
    exact = torch.nn.functional.normalize(torch.stack(exact), dim=-1).numpy()
    ours = embedded(partial(text_encoder, str(folder)), TEXTS, "text", precision="fp32", most=3)
    assert (ours * exact).sum(-1).min() >= 0.9999


@pytest.mark.parametrize(("kind", "same"), [("clip", False), ("siglip", True), ("siglip2", True)])
def test_texts_are_those_of_the_training(kind, same, tiny):
    """SigLIP has seen lower case only; the tokenizer of CLIP sees to that itself, or does not."""
    texts = ["a photo of a cat", "A Photo of a CAT"]
    encoder = text_encoder(str(tiny(kind)))
    ids = encoder.collate(texts)["input_ids"]
    assert torch.equal(ids[0], ids[1]) == same
    assert len({*encoder.token_counts(texts)}) == 1
    lower, upper = embedded(partial(text_encoder, str(tiny(kind))), texts, "text", precision="fp32")
    assert np.allclose(lower, upper, atol=1e-6) == same


@NEEDS_BF16
def test_a_way_that_strays_is_not_used(tiny, photos, caplog, monkeypatch):
    """Where bf16 is too far from fp32, fp32 is used, and that is said."""
    monkeypatch.setattr("image_toolkit.models.runtime.model_runner.LEAST_COSINE", 1.1)
    make = partial(image_encoder, str(tiny("clip")))
    runner = start_runners(make, [Placement(CPU, "bf16")], "torch", lambda: BatchSize(4))[0]
    assert runner.placement == Placement(CPU, "fp32")
    assert "cpu bf16 with torch strays from fp32" in caplog.text
    assert runner.vectors([runner.encoder.prepare(photos[0])]).shape == (1, 16)


def test_vectors_that_are_no_numbers(tiny):
    """A model whose vectors are no numbers, whatever the precision, is refused in one line."""
    encoder = image_encoder(str(tiny("clip")))
    with torch.no_grad():
        encoder.tower.tower.model.visual_projection.weight[0, 0] = float("nan")
    with pytest.raises(InputDataError, match=r"^Model 'clip': its vectors are no finite numbers"):
        start_runners(lambda: encoder, [Placement(CPU, "fp32")], "torch", lambda: BatchSize(4))


def test_a_row_whose_vector_is_no_number(tiny):
    """It is a reject, and nobody's neighbour; the others have their vectors."""
    encoder = text_encoder(str(tiny("clip")))
    (word,) = encoder.collate(["lake"])["input_ids"][0][1:-1].tolist()
    with torch.no_grad():
        embeddings = encoder.tower.model.text_model.embeddings
        embeddings.token_embedding.weight[word] = float("inf")
    encoder.probes = lambda: ["a photo of a cat", "red"]  # in none of which it shows
    embedder = Embedder(lambda: encoder, precision="fp32")
    embedder.load()
    texts = ["a photo of a cat", "two boats on a lake", "red"]
    batch = pa.record_batch([pa.array(["0", "1", "2"]), pa.array(texts)], names=["id", "text"])
    rejects = Rejects()
    (made,) = embedder.batches(iter([batch]), "text", rejects)
    embedder.close()
    assert made["id"].to_pylist() == ["0", "2"]
    assert (rejects.ids(), dict(rejects.counts)) == ({"1"}, {"bad_embedding": 1})


def test_a_tokenizer_that_knows_of_fewer_tokens(tiny, tmp_path):
    """Texts are cut where it says: of the positions of RoBERTa's kind, two are for no token."""
    folder = shutil.copytree(tiny("clip"), tmp_path / "clip")
    longest = text_encoder(str(folder)).longest
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = longest - 2
    tokenizer.save_pretrained(folder)
    encoder = text_encoder(str(folder))
    assert encoder.longest == longest - 2
    assert encoder.collate(["red " * 100])["input_ids"].shape == (1, longest - 2)


def test_a_model_of_a_vector_for_each_patch(tmp_path):
    """FLAVA projects all of its tokens, and which of them stands for the image is not said."""
    eyes = {"image_size": SIDE, "patch_size": PATCH}
    config = FlavaConfig(
        image_config=TOWER | eyes, text_config=TOWER, multimodal_config=TOWER, projection_dim=16
    )
    torch.manual_seed(0)
    FlavaModel(config).save_pretrained(tmp_path)
    CLIPImageProcessorPil(size=SQUARE, crop_size=SQUARE).save_pretrained(tmp_path)
    with pytest.raises(InputDataError, match=r"gives several vectors for each input, not one"):
        Embedder(partial(image_encoder, str(tmp_path)), precision="fp32").load()


def test_a_batch_size_below_0(tiny):
    """A batch size below 0 is refused before anything is loaded."""
    with pytest.raises(InvalidArgumentError, match=r"^batch_size: -1 is below 0; 0 chooses"):
        Embedder(partial(image_encoder, str(tiny("clip"))), most=-1)


@NEEDS_BF16
@NEEDS_VNNI
def test_int8_falls_back_to_what_auto_takes(tiny, caplog, monkeypatch):
    """Where int8 strays, what auto takes is tried next, and fp32 at last."""
    monkeypatch.setattr("image_toolkit.models.runtime.device.multiplies_in_bf16", lambda: True)
    make = partial(image_encoder, str(tiny("clip")))
    for least, left in ((0.99995, "bf16"), (1.1, "fp32")):
        monkeypatch.setattr("image_toolkit.models.runtime.model_runner.LEAST_COSINE", least)
        runner = start_runners(make, [Placement(CPU, "int8")], "torch", lambda: BatchSize(4))[0]
        assert runner.placement == Placement(CPU, left)
    assert "cpu int8 with torch strays from fp32" in caplog.text
    assert "Going on with cpu bf16 and torch." in caplog.text
    assert "cpu bf16 with torch strays from fp32" in caplog.text


def test_a_model_with_masks_goes_whole(tiny, photos, monkeypatch):
    """A tower that gets masks and sizes of its images takes them all at once: SigLIP 2's."""
    make = partial(image_encoder, str(tiny("siglip2")))
    exact = embedded(make, photos, "image", precision="fp32")
    monkeypatch.setattr("image_toolkit.models.cpu.fast_cpu.best_piece", lambda _: 1)
    ours = embedded(make, photos, "image", precision="fp32")
    assert (ours * exact).sum(-1).min() >= 0.9999


def test_memory_errors_halve_the_batch(tiny, photos):
    """A real memory error within the model halves the batch, and every row still comes out."""
    make = partial(image_encoder, str(tiny("clip")))
    size = BatchSize(6)
    runner = start_runners(make, [Placement(CPU, "fp32")], "torch", lambda: size)[0]
    model = runner.encoder.tower.tower.model.vision_model

    def hungry(_module, inputs, keywords):
        if len(keywords.get("pixel_values", inputs)) > 2:
            torch.empty(1 << 58)

    model.register_forward_pre_hook(hungry, with_kwargs=True)
    vectors = runner([runner.encoder.prepare(photo) for photo in photos])
    assert (size.now, size.halvings) == (1, 2)
    assert len(vectors) == 6
    assert all(vector is not None for vector in vectors)


def test_openvino_gives_the_same(tiny, photos):
    """The OpenVINO engine, where it is installed, gives the vectors of torch."""
    pytest.importorskip("openvino")
    make = partial(image_encoder, str(tiny("clip")))
    exact = embedded(make, photos, "image", precision="fp32")
    ours = embedded(make, photos, "image", precision="fp32", engine="openvino")
    assert (ours * exact).sum(-1).min() >= 0.9999


def test_openvino_needs_pixels(tiny):
    """A model with a processor of its own is refused by the engine that only takes pixels."""
    pytest.importorskip("openvino")
    embedder = Embedder(partial(image_encoder, str(tiny("siglip2"))), engine="openvino")
    with pytest.raises(InvalidArgumentError) as caught:
        embedder.load()
    assert str(caught.value) == (
        "engine: openvino runs image towers with plain pixel inputs, on a CPU, not in int8; "
        "use torch."
    )


@pytest.mark.parametrize("encoder", [image_encoder, text_encoder])
@pytest.mark.parametrize("kind", ["git", "blip-2"])
def test_a_captioner_is_no_embedder(encoder, kind, tiny):
    """A model without a common space for images and texts is refused in one line."""
    with pytest.raises(InputDataError) as caught:
        encoder(str(tiny(kind)))
    assert str(caught.value) == (
        f"Model '{kind}' ({kind}) does not embed images and texts in one space; "
        "use a CLIP, SigLIP, SigLIP 2 or similar model."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda:7"}, "device: 'cuda:7' asked for, but this machine has 0 GPUs."),
        (
            {"device": "gpu"},
            "device: 'gpu' is none that models run on; use auto, cpu, cuda or cuda:<number>.",
        ),
        (
            {"device": "mps"},
            "device: 'mps' is none that models run on; use auto, cpu, cuda or cuda:<number>.",
        ),
        (
            {"precision": "fp16", "device": "cpu"},
            "precision: fp16 is slower than fp32 on a CPU; use auto, bf16 or fp32.",
        ),
    ],
)
def test_impossible_placements_are_refused(options, message):
    """A device or precision that this machine does not have is named before anything loads."""
    if "7" in options.get("device", "") and torch.cuda.device_count():
        pytest.skip("this machine has GPUs")
    with pytest.raises(InvalidArgumentError) as caught:
        Embedder(partial(image_encoder, "any"), **options)
    assert str(caught.value) == message
