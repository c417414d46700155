"""The fast CPU layers compute the same as the plain ones."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, scaled_dot_product_attention
from transformers import AutoModel, BlipForConditionalGeneration, VisionEncoderDecoderModel
from transformers.activations import ACT2FN

from image_toolkit.models.cpu import fast_cpu
from image_toolkit.models.cpu.fast_cpu import attention, speed_up
from image_toolkit.models.cpu.packed_layers import ColoursFirst, PackedLinear
from image_toolkit.models.cpu.quantised_layers import QuantisedLinear, RowQuantiser
from image_toolkit.models.embedding.embedders import ImageEncoder
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model
from tests.tiny_models import BF16, INT8, NEEDS_BF16, NEEDS_VNNI

PRECISIONS = pytest.mark.parametrize("precision", ["fp32", BF16, INT8])
LEAST = {"fp32": 0.999999, "bf16": 0.9995, "int8": 0.9985}


def on_cpu(precision):
    """Return the placement on the CPU in a precision."""
    return Placement(torch.device("cpu"), precision)


def close(ours, exact, precision="bf16"):
    """Return whether each row points the same way, within what the precision can tell."""
    cosines = cosine_similarity(ours.double(), exact.double(), dim=-1)
    return cosines.min().item() >= LEAST[precision]


@PRECISIONS
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(1,), (7, 5), (300,)])
def test_linear(bias, rows, precision):
    """A fast layer gives what the plain one gives, for any number of rows."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(48, 80, bias=bias))
    values = torch.randn(*rows, 48)
    with torch.inference_mode():
        exact = plain(values)
        speed_up(plain, on_cpu(precision))
        assert type(plain[0]) is (QuantisedLinear if precision == "int8" else PackedLinear)
        assert close(plain(values.to(on_cpu(precision).dtype)), exact, precision)


@NEEDS_VNNI
def test_quantised_rows_do_not_see_each_other():
    """In int8 a row comes to the same alone, beside a far larger one, and beside others."""
    torch.manual_seed(0)
    layer = QuantisedLinear(nn.Linear(48, 80), quantiser=RowQuantiser())
    values = torch.randn(40, 48)
    values[1] *= 1000
    values[2] = 0
    with torch.inference_mode():
        together = layer(values)
        for row in range(3):
            assert torch.equal(layer(values[row : row + 1].clone())[0], together[row])
        assert torch.equal(together[2], layer.bias)


@NEEDS_VNNI
def test_layers_share_the_bytes_of_one_input_only():
    """Two layers that read the same tensor share its bytes; another one gets its own."""
    torch.manual_seed(0)
    quantiser = RowQuantiser()
    plain = [nn.Linear(48, 80), nn.Linear(48, 16)]
    layers = [QuantisedLinear(layer, quantiser=quantiser) for layer in plain]
    values, others = torch.randn(2, 5, 48)
    with torch.inference_mode():
        assert quantiser(values)[0] is quantiser(values)[0]
        for given in (values, others, values):
            for layer, exact in zip(layers, plain, strict=True):
                assert close(layer(given), exact(given), "int8")


@PRECISIONS
@pytest.mark.parametrize("bias", [True, False])
def test_patches(bias, precision):
    """A convolution over patches, also of odd sizes, gives what it gave; others are left alone."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 24, (8, 4), stride=(8, 4), bias=bias))
    others = nn.Sequential(nn.Conv2d(3, 8, 8, stride=4), nn.Conv2d(8, 8, 2, stride=2, groups=2))
    pixels = torch.randn(2, 3, 35, 41)
    with torch.inference_mode():
        exact = layers(pixels)
        speed_up(layers, on_cpu(precision))
        ours = layers(pixels.to(on_cpu(precision).dtype))
        speed_up(others, on_cpu(precision))
    assert ours.shape == exact.shape
    assert close(ours.flatten(1), exact.flatten(1), precision)
    assert [type(layer) for layer in others] == [nn.Conv2d, nn.Conv2d]


@PRECISIONS
@pytest.mark.parametrize("name", ["gelu", "quick_gelu", "gelu_pytorch_tanh", "relu"])
def test_activations_go_into_the_layers(name, precision):
    """A block with its activation fused gives what the block gives; others are left alone."""
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.activation_fn, self.fc2 = (
                nn.Linear(48, 96),
                ACT2FN[name],
                nn.Linear(96, 48),
            )

        def forward(self, values):
            return self.fc2(self.activation_fn(self.fc1(values)))

    block, values = Block(), torch.randn(64, 48)
    with torch.inference_mode():
        exact = block(values)
        speed_up(block, on_cpu(precision))
        assert close(block(values.to(on_cpu(precision).dtype)), exact, precision)
    assert isinstance(block.activation_fn, nn.Identity) is (name != "relu")


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("masked", [False, True])
def test_attention(batch, masked, monkeypatch):
    """Attention a few images at a time is attention."""
    monkeypatch.setattr(fast_cpu, "_CACHE_BYTES", 2 * 2 * 4 * 37 * 37)
    torch.manual_seed(0)
    query, key, value = (torch.randn(batch, 4, 37, 16) for _ in range(3))
    mask = torch.zeros(batch, 1, 37, 37)
    if masked:
        mask[..., 20:] = torch.finfo(torch.float32).min
    exact = scaled_dot_product_attention(query, key, value, mask)
    ours, _ = attention(None, query, key, value, mask if masked else None)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, exact.transpose(1, 2), atol=0.02, rtol=0)


@PRECISIONS
@pytest.mark.parametrize("in_bf16", [True, False])
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_image_towers(kind, in_bf16, precision, tiny, monkeypatch):
    """A whole tower made fast gives the vectors of the plain one, whatever the CPU is good at."""
    monkeypatch.setattr(fast_cpu, "multiplies_in_bf16", lambda: in_bf16)
    torch.manual_seed(0)
    model = AutoModel.from_pretrained(tiny(kind)).eval()
    pixels = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        exact = model.get_image_features(pixel_values=pixels).pooler_output
        speed_up(model, on_cpu(precision))
        pixels = pixels.to(on_cpu(precision).dtype)
        ours = model.get_image_features(pixel_values=pixels).pooler_output
    assert close(ours, exact, precision)


@PRECISIONS
def test_normalising_goes_into_the_patches(precision, tiny):
    """A tower that normalises takes its pixels as they are, and gives the same vectors."""
    encoder = ImageEncoder(find_model(str(tiny("clip"))))
    pixels = encoder.collate(encoder.probes())["pixels"]
    with torch.inference_mode():
        exact = encoder.tower(pixels=pixels)
        speed_up(encoder.tower, on_cpu(precision))
        assert isinstance(encoder.tower.normalise, ColoursFirst)
        assert close(encoder.tower(pixels=pixels), exact, precision)


@PRECISIONS
@pytest.mark.parametrize("in_bf16", [True, False])
def test_blip_vision_tower(in_bf16, precision, tiny, monkeypatch):
    """BLIP's own attention is replaced, and gives the same."""
    monkeypatch.setattr(fast_cpu, "multiplies_in_bf16", lambda: in_bf16)
    model = BlipForConditionalGeneration.from_pretrained(tiny("blip")).eval()
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact = model.vision_model(pixel_values=pixels).last_hidden_state
        speed_up(model, on_cpu(precision))
        pixels = pixels.to(on_cpu(precision).dtype)
        ours = model.vision_model(pixel_values=pixels).last_hidden_state
    assert close(ours, exact, precision)


def test_towers_go_in_pieces(tiny, monkeypatch):
    """A tower takes a few images at a time, and gives what it gives for all at once."""
    monkeypatch.setattr(fast_cpu, "best_piece", lambda _: 2 * (32 // 8) ** 2)
    model = AutoModel.from_pretrained(tiny("clip")).vision_model.eval()
    pixels = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = []
    model.embeddings.register_forward_pre_hook(lambda _module, given: seen.append(len(given[0])))
    run = partial(model, pixel_values=pixels, output_hidden_states=True)
    with torch.inference_mode():
        exact = run()
        speed_up(model, on_cpu("fp32"))
        ours = run()
    assert seen == [5, 2, 2, 1]
    assert type(ours) is type(exact)
    assert len(ours.hidden_states) == len(exact.hidden_states) > 1
    for one, other in zip(ours.hidden_states, exact.hidden_states, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(ours.pooler_output, exact.pooler_output)


@NEEDS_BF16
def test_only_towers_attend_by_hand(tiny):
    """What attends fast is the image tower; a decoder beside it is causal, and stays as it is."""
    model = VisionEncoderDecoderModel.from_pretrained(tiny("vit-gpt2")).eval()
    speed_up(model, on_cpu("bf16"))
    ways = [part.config._attn_implementation for part in (model.encoder, model.decoder)]
    assert ways == ["cached_scores", "sdpa"]


@NEEDS_VNNI
def test_words_are_decided_exactly(tiny):
    """In int8 the layer that decides the words stays as it is; all others do not."""
    model = BlipForConditionalGeneration.from_pretrained(tiny("blip")).eval()
    speed_up(model, on_cpu("int8"))
    assert type(model.text_decoder.cls.predictions.decoder) is PackedLinear
    assert type(model.text_decoder.cls.predictions.transform.dense) is QuantisedLinear
