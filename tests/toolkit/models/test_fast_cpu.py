"""The fast layers compute what the plain ones compute."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, scaled_dot_product_attention
from transformers import AutoModel, BlipForConditionalGeneration
from transformers.activations import ACT2FN

from fondant_spec.toolkit.models.embedders import ImageEncoder
from fondant_spec.toolkit.models.fast_cpu import ColoursFirst, PackedLinear, attention, speed_up
from fondant_spec.toolkit.models.hub import find_model


def close(ours, exact, least=0.9995):
    """Return whether each row points the same way, within what bf16 can tell."""
    return cosine_similarity(ours.float(), exact.float(), dim=-1).min().item() >= least


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(1,), (7, 5), (300,)])
def test_packed_linear(bias, rows):
    """A packed layer gives what the plain one gives, for any number of rows."""
    torch.manual_seed(0)
    plain = nn.Linear(48, 80, bias=bias)
    values = torch.randn(*rows, 48)
    with torch.inference_mode():
        assert close(PackedLinear(plain)(values.bfloat16()), plain(values))


@pytest.mark.parametrize("bias", [True, False])
def test_patches(bias):
    """A convolution over patches, also of odd sizes, gives what it gave; others are left alone."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 24, (8, 4), stride=(8, 4), bias=bias))
    others = nn.Sequential(nn.Conv2d(3, 8, 8, stride=4), nn.Conv2d(8, 8, 2, stride=2, groups=2))
    pixels = torch.randn(2, 3, 35, 41)
    with torch.inference_mode():
        exact = layers(pixels)
        speed_up(layers)
        ours = layers(pixels.bfloat16())
        speed_up(others)
    assert ours.shape == exact.shape
    assert close(ours.flatten(1), exact.flatten(1))
    assert [type(layer) for layer in others] == [nn.Conv2d, nn.Conv2d]


@pytest.mark.parametrize("name", ["gelu", "quick_gelu", "gelu_pytorch_tanh", "relu"])
def test_activations_go_into_the_layers(name):
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
        speed_up(block)
        assert close(block(values.bfloat16()), exact)
    assert isinstance(block.activation_fn, nn.Identity) is (name != "relu")


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("masked", [False, True])
def test_attention(batch, masked, monkeypatch):
    """Attention a few images at a time is attention."""
    monkeypatch.setattr("fondant_spec.toolkit.models.fast_cpu._CACHE_BYTES", 2 * 2 * 4 * 37 * 37)
    torch.manual_seed(0)
    query, key, value = (torch.randn(batch, 4, 37, 16) for _ in range(3))
    mask = torch.zeros(batch, 1, 37, 37)
    if masked:
        mask[..., 20:] = torch.finfo(torch.float32).min
    exact = scaled_dot_product_attention(query, key, value, mask)
    ours, _ = attention(None, query, key, value, mask if masked else None)
    torch.testing.assert_close(ours, exact.transpose(1, 2))


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_image_towers(kind, tiny):
    """A whole tower made fast gives the vectors of the plain one."""
    torch.manual_seed(0)
    model = AutoModel.from_pretrained(tiny(kind)).eval()
    pixels = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        exact = model.get_image_features(pixel_values=pixels).pooler_output
        speed_up(model)
        ours = model.get_image_features(pixel_values=pixels.bfloat16()).pooler_output
    assert close(ours, exact)


def test_normalising_goes_into_the_patches(tiny):
    """A tower that normalises takes its pixels as they are, and gives the same vectors."""
    encoder = ImageEncoder(find_model(str(tiny("clip"))))
    pixels = encoder.collate(encoder.probes())["pixels"]
    with torch.inference_mode():
        exact = encoder.tower(pixels=pixels)
        speed_up(encoder.tower)
        assert isinstance(encoder.tower.normalise, ColoursFirst)
        assert close(encoder.tower(pixels=pixels), exact)


def test_blip_vision_tower(tiny):
    """BLIP's own attention is replaced, and gives the same."""
    model = BlipForConditionalGeneration.from_pretrained(tiny("blip")).eval()
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        exact = model.vision_model(pixel_values=pixels).last_hidden_state
        speed_up(model)
        ours = model.vision_model(pixel_values=pixels.bfloat16()).last_hidden_state
    assert close(ours, exact)
