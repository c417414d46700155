"""Zero-shot classification of images into the sixteen subjects, with the demo's tiny CLIP."""

import io
from collections.abc import Sequence
from functools import cache

import torch
from PIL import Image
from transformers.utils.logging import disable_progress_bar

from demo.model_classes import CLIPModel, CLIPProcessor
from demo.photos import SUBJECTS
from demo.tiny_models import CLIP_FOLDER, embed_images, embed_texts
from demo.training_data import PROMPT


def subjects_of(files: Sequence[bytes]) -> list[str]:
    """Return the subject whose plain prompt is nearest to each image file."""
    return subjects_in([Image.open(io.BytesIO(file)).convert("RGB") for file in files])


def subjects_in(images: Sequence[Image.Image]) -> list[str]:
    """Return the subject whose plain prompt is nearest to each image."""
    if not images:
        return []
    model, processor, prompts = _clip()
    pixels = processor.image_processor(list(images), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        nearest = embed_images(model, pixels) @ prompts.T
    return [SUBJECTS[number] for number in nearest.argmax(dim=1)]


@cache
def _clip() -> tuple[CLIPModel, CLIPProcessor, torch.Tensor]:
    """Return the model, its processor, and the vectors of the subjects' plain prompts."""
    disable_progress_bar()  # it has no label
    model = CLIPModel.from_pretrained(CLIP_FOLDER).eval()
    processor = CLIPProcessor.from_pretrained(CLIP_FOLDER)
    prompts = [PROMPT.format(subject) for subject in SUBJECTS]
    with torch.inference_mode():
        tokens = processor.tokenizer(prompts, padding=True, return_tensors="pt")
        return model, processor, embed_texts(model, **tokens)
