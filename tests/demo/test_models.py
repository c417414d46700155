from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BlipForConditionalGeneration,
    BlipProcessor,
)

from demo.evaluate import names
from demo.photos import SUBJECTS
from demo.tiny_models import BLIP_FOLDER, CLIP_FOLDER, embed_images, embed_texts
from demo.training_data import samples

HELD_OUT = 480


@pytest.fixture(scope="module")
def held_out():
    """Crops that no model was trained on, thirty a subject."""
    return samples("collection", HELD_OUT, seed=99)


@pytest.fixture(scope="module")
def subjects(held_out):
    """The subject of each held-out crop."""
    return np.array([sample.subject for sample in held_out])


@pytest.fixture(scope="module")
def vectors(clip, held_out):
    """The held-out crops' image vectors."""
    model, processor = clip
    pixels = processor(images=[sample.image for sample in held_out], return_tensors="pt")
    with torch.inference_mode():
        return embed_images(model, pixels["pixel_values"]).numpy()


def test_the_vectors_are_those_of_the_public_interface(clip, held_out, vectors):
    """`CLIPModel` called in the usual way gives the same image vectors."""
    model, processor = clip
    inputs = processor(
        text=["a cat"], images=[sample.image for sample in held_out[:4]], return_tensors="pt"
    )
    with torch.inference_mode():
        usual = model(**inputs).image_embeds.numpy()
    assert np.allclose(usual, vectors[:4], atol=1e-5)


def test_clip_finds_the_subject_of_an_image(vectors, subjects):
    """Of the five nearest held-out crops, nearly all show the same subject.

    Blurry and dark crops have few relatives among so few: the card's figure is for 1,600 crops.
    """
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    nearest = np.argsort(-similarity)[:, :5]
    assert (subjects[nearest] == subjects[:, None]).mean() >= 0.92


@pytest.mark.parametrize(
    "prompt", ["a photo of {}", "{}", "a close-up of {}", "A picture of a {}."]
)
def test_clip_finds_the_subject_of_a_prompt(clip, vectors, subjects, prompt):
    """Plain prompts, in words that a user might choose, find their subject."""
    model, processor = clip
    texts = [prompt.format(subject) for subject in SUBJECTS]
    with torch.inference_mode():
        queries = embed_texts(model, **processor(text=texts, padding=True, return_tensors="pt"))
    nearest = np.argsort(-(queries.numpy() @ vectors.T))[:, :5]
    assert (subjects[nearest] == np.array(SUBJECTS)[:, None]).mean() >= 0.9


def test_any_text_can_be_embedded(clip):
    """Unknown words, other scripts and emoji are spelt byte by byte, never refused."""
    model, processor = clip
    texts = ["quokka", "寺", "📷 <b>&amp;</b>", "", "word " * 500]
    tokens = processor(text=texts, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        vectors = embed_texts(model, **tokens)
    assert torch.isfinite(vectors).all()


def test_blip_names_the_subject_in_varied_sentences(held_out):
    """Captions name what is shown and nothing else, and differ from crop to crop."""
    model = BlipForConditionalGeneration.from_pretrained(BLIP_FOLDER)
    processor = BlipProcessor.from_pretrained(BLIP_FOLDER)
    inputs = processor(images=[sample.image for sample in held_out], return_tensors="pt")
    with torch.inference_mode():
        captions = processor.batch_decode(
            model.generate(**inputs, max_new_tokens=24), skip_special_tokens=True
        )
    right = [
        names(caption) == (sample.subject,)
        for caption, sample in zip(captions, held_out, strict=True)
    ]
    assert np.mean(right) >= 0.96
    assert len(set(captions)) >= 60


def test_blip_continues_a_prompt(held_out):
    """A prompt is kept and completed, as with the large model."""
    model = BlipForConditionalGeneration.from_pretrained(BLIP_FOLDER)
    processor = BlipProcessor.from_pretrained(BLIP_FOLDER)
    sample = next(sample for sample in held_out if sample.caption.startswith("a photo of"))
    inputs = processor(images=sample.image, text="a photo of", return_tensors="pt")
    with torch.inference_mode():
        written = model.generate(**inputs, max_new_tokens=24)
    caption = processor.decode(written[0], skip_special_tokens=True)
    assert caption.startswith("a photo of")
    assert sample.subject in caption


@pytest.mark.parametrize("folder", [CLIP_FOLDER, BLIP_FOLDER], ids=["clip", "blip"])
def test_a_model_folder_is_small_safe_and_described(folder: Path):
    """Weights are safetensors of a few MB, with a card that states figures and licence."""
    assert not [path for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".py", ".pkl")]
    assert (folder / "model.safetensors").stat().st_size < 4_500_000
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "held-out" in card
