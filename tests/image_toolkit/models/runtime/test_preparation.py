"""Images are prepared as by the models' own processors, only faster."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from transformers import AutoModel
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.models.runtime.preparation import (
    Normalise,
    PixelPreparation,
    ProcessorPreparation,
    preparation_for,
)


def encoded(pixels, kind="PNG", **options):
    """Return pixels as the bytes of a file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


PHOTO = data.astronaut()[:, 60:]  # 512 by 452
PROCESSORS = {
    "clip": CLIPImageProcessorPil(),
    "blip": BlipImageProcessorPil(),
    "siglip": SiglipImageProcessorPil(),
    "vit": ViTImageProcessorPil(),
    "not cropped": CLIPImageProcessorPil(size={"height": 96, "width": 64}, do_center_crop=False),
    "not normalised": CLIPImageProcessorPil(do_normalize=False),
    "wide crop": CLIPImageProcessorPil(crop_size={"height": 100, "width": 200}),
}


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("turned", [False, True])
def test_gives_what_the_processor_gives(name, turned):
    """Pixels differ from those of the model's own processor by rounding at most."""
    pixels = np.ascontiguousarray(PHOTO.swapaxes(0, 1)) if turned else PHOTO
    processor = PROCESSORS[name]
    preparation = preparation_for(processor)
    theirs = processor(images=Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
    ours = Normalise(preparation)(torch.from_numpy(preparation(encoded(pixels))[None]))
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 0.03  # one step of 8 bits is 0.004 to 0.015


@pytest.mark.parametrize(
    "processor",
    [
        Siglip2ImageProcessorPil(),
        CLIPImageProcessorPil(do_resize=False),
        CLIPImageProcessorPil(do_center_crop=False),
        CLIPImageProcessorPil(crop_size={"height": 300, "width": 300}),
    ],
)
def test_unusual_processors_are_left_to_themselves(processor):
    """A processor that does more than resize, crop and normalise is used itself."""
    assert preparation_for(processor) is None


def test_a_processor_with_a_mind_of_its_own_is_noticed():
    """Settings alone are not trusted: the results are compared, and a difference is found."""

    class Inverted(CLIPImageProcessorPil):
        def rescale(self, image, scale, **_):
            return 1 - image * scale

    assert preparation_for(Inverted()) is None


@pytest.mark.parametrize("side", [65, 333, 901, 1600])
@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_scaled_decoding_keeps_the_embedding(name, side, tiny):
    """A JPEG decoded at a fraction of its size has the embedding of the whole one: 0.999."""
    folder = tiny(name)
    model = AutoModel.from_pretrained(folder).eval()
    small = type(PROCESSORS[name]).from_pretrained(folder)
    preparation = preparation_for(small)
    large = np.asarray(Image.fromarray(PHOTO).resize((side, side + 211), Image.Resampling.LANCZOS))
    file = encoded(large, "JPEG", quality=95)
    theirs = small(images=Image.open(io.BytesIO(file)), return_tensors="pt")["pixel_values"]
    ours = Normalise(preparation)(torch.from_numpy(preparation(file)[None]))
    with torch.inference_mode():
        vectors = [
            model.get_image_features(pixel_values=values).pooler_output for values in (theirs, ours)
        ]
    assert torch.cosine_similarity(*vectors).item() >= 0.999


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 7)])
def test_odd_shapes_are_prepared(size):
    """One pixel, or a line of three thousand, is an image like any other, and needs no memory."""
    preparation = preparation_for(PROCESSORS["clip"])
    pixels = np.full((*size, 3), 77, np.uint8)
    assert (preparation(encoded(pixels)) == 77).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"<html>", "not_an_image"), (encoded(PHOTO, "JPEG")[:3000], "truncated")],
)
def test_what_is_no_image_says_why(data, reason):
    """Bytes that cannot be decoded are told by a reason."""
    for prepare in (preparation_for(PROCESSORS["clip"]), ProcessorPreparation(64)):
        with pytest.raises(NotAnImageError) as caught:
            prepare(data)
        assert caught.value.reason == reason


def test_images_for_processors_are_bounded():
    """An image for a chat model is made smaller, its aspect ratio kept, and never larger."""
    prepare = ProcessorPreparation(256)
    assert prepare(encoded(PHOTO)).size == (226, 256)
    assert prepare(encoded(PHOTO[:30, :40])).size == (40, 30)
    assert ProcessorPreparation()(encoded(PHOTO)).size == (452, 512)


def test_pixels_stay_bytes():
    """What goes to the device is one byte a value: a GPU gets a quarter of the traffic."""
    pixels = preparation_for(PROCESSORS["clip"])(encoded(PHOTO))
    assert (pixels.dtype, pixels.shape) == (np.uint8, (224, 224, 3))
    assert isinstance(preparation_for(PROCESSORS["clip"]), PixelPreparation)


def test_the_constants_stay_exact_wherever_a_model_goes():
    """A model in bf16 normalises in fp32: 1/255 would be half a percent off."""
    normalise = Normalise(preparation_for(PROCESSORS["clip"]))
    pixels = torch.from_numpy(preparation_for(PROCESSORS["clip"])(encoded(PHOTO))[None])
    exact = normalise(pixels)
    moved = torch.nn.Sequential(normalise).to(torch.bfloat16)
    assert moved[0].constants()[0].dtype == torch.float32
    assert torch.equal(moved(pixels), exact)
    assert not normalise.state_dict()
