"""The quality of the tiny models, on crops that neither was trained on."""

import numpy as np
import torch

from demo.evaluate import names
from demo.model_classes import BlipForConditionalGeneration, BlipProcessor, CLIPModel, CLIPProcessor
from demo.photos import SUBJECTS
from demo.tiny_models import embed_images, embed_texts
from demo.training_data import PROMPT, Sample

BY_IMAGE, BY_PROMPT = 10, 20  # number of top results to score
DUPLICATE = 0.94  # the cosine from which clip-retrieval considers two images duplicates
BATCH = 64
LONGEST_CAPTION = 24  # tokens


def pixels(processor: CLIPProcessor | BlipProcessor, rows: list[Sample]) -> torch.Tensor:
    """Return the image processor's output for the samples, float32 (N, 3, side, side)."""
    images = [row.image for row in rows]
    return processor.image_processor(images, return_tensors="pt")["pixel_values"]


def measure_clip(
    model: CLIPModel, processor: CLIPProcessor, rows: list[Sample]
) -> dict[str, float]:
    """Return retrieval precision by image (among the others) and by plain prompt, as shares."""
    tokens = processor.tokenizer(
        [PROMPT.format(subject) for subject in SUBJECTS], padding=True, return_tensors="pt"
    )
    with torch.inference_mode():
        vectors = embed_images(model, pixels(processor, rows)).numpy()
        prompts = embed_texts(model, **tokens).numpy()
    subjects = np.array([row.subject for row in rows])
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    near = np.argsort(-similarity)[:, :BY_IMAGE]
    found = np.argsort(-(prompts @ vectors.T))[:, :BY_PROMPT]
    same = subjects[:, None] == subjects
    return {
        f"precision of the {BY_IMAGE} best by image": float(
            (subjects[near] == subjects[:, None]).mean()
        ),
        f"precision of the {BY_PROMPT} best by prompt": float(
            (subjects[found] == np.array(SUBJECTS)[:, None]).mean()
        ),
        f"pairs of one subject nearer than {DUPLICATE}": float(
            (similarity[same] > DUPLICATE).mean()
        ),
    }


def measure_blip(
    model: BlipForConditionalGeneration, processor: BlipProcessor, rows: list[Sample]
) -> dict[str, float]:
    """Return the shares of captions that name only their subject, and that are entirely correct."""
    captions = write_captions(model, processor, rows)
    pairs = list(zip(captions, rows, strict=True))
    plain = [caption.replace(" - ", "-").replace(" ,", ",") for caption in captions]
    return {
        "captions that name the subject and no other": float(
            np.mean([names(caption) == (row.subject,) for caption, row in pairs])
        ),
        "captions that are right in every word": float(
            np.mean([text == row.caption.lower() for text, row in zip(plain, rows, strict=True)])
        ),
        "different captions": float(len(set(captions))),
    }


def write_captions(
    model: BlipForConditionalGeneration, processor: BlipProcessor, rows: list[Sample]
) -> list[str]:
    """Return one greedily decoded caption per sample."""
    captions: list[str] = []
    for start in range(0, len(rows), BATCH):
        batch = pixels(processor, rows[start : start + BATCH])
        written = model.generate(pixel_values=batch, max_new_tokens=LONGEST_CAPTION)
        captions += processor.batch_decode(written, skip_special_tokens=True)
    return captions
