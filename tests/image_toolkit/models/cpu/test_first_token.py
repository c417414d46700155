"""CLIP's image vectors do not need the last layer's other tokens."""

import torch
from transformers import AutoModel

from image_toolkit.models.cpu.first_token import only_first_token
from image_toolkit.models.embedding.embedders import ImageEncoder
from image_toolkit.models.runtime.hub import find_model


def test_vectors_are_those_of_the_whole_layer(tiny):
    """The vectors are those of the plain model, and the wide layers see one token an image."""
    folder = tiny("clip")
    encoder = ImageEncoder(find_model(str(folder)))
    only_first_token(encoder.tower)
    plain = AutoModel.from_pretrained(folder).eval()
    tower = encoder.tower.tower.model.vision_model
    seen = []
    for layer in tower.encoder.layers:
        layer.mlp.register_forward_pre_hook(lambda _module, given: seen.append(given[0].shape[1]))
    pixels = encoder.collate(encoder.probes())["pixels"]
    with torch.inference_mode():
        values = encoder.tower.normalise(pixels)
        exact = plain.get_image_features(pixel_values=values).pooler_output
        torch.testing.assert_close(encoder.tower(pixels=pixels), exact)
    assert seen == [17, 1]
