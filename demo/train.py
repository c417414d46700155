"""Train the tiny models on crops of the photographs: `python -m demo.train [clip] [blip] ...`.

The same seed gives the same models on the same machine. All figures in the model cards come from
here, measured on windows that no model was trained on.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from demo import DIFFUSION_FOLDER, NEW_SUBJECT
from demo.measure import measure_blip, measure_clip, pixels
from demo.model_card import write_card
from demo.model_classes import BlipForConditionalGeneration, BlipProcessor, CLIPModel, CLIPProcessor
from demo.photos import SUBJECTS
from demo.tiny_models import (
    BLIP_FOLDER,
    CLIP_FOLDER,
    TOWER,
    embed_images,
    embed_texts,
    make_blip,
    make_clip,
)
from demo.training_data import PROMPT, Sample, batches, every_caption, samples

MODELS = ["clip", "blip", "diffusion"]
SEED = 20
THREADS = 1  # more would sum in another order, and give other models
CROPS, HELD_OUT = 12_800, 1_600
BATCH = 128
CLIP_STEPS, BLIP_STEPS = 1_000, 1_400
PEAK_RATE, WARM_UP, DECAY = 1e-3, 100, 0.05
REPORT_EVERY = 100
NOT_SCORED = -100  # the label that the language model's loss ignores
LOOK_TEMPERATURE = 0.1
LOOK_SHARE = 0.1  # weight of telling images of one subject apart, against telling subjects apart
LOOK_SHIFT = 3  # pixels
LOOK_NOISE = 0.15  # of the normalised pixels


def fit(
    model: nn.Module, loss_of: Callable[[int, np.ndarray], Tensor], rows: int, steps: int
) -> None:
    """Minimise `loss_of(step, row numbers)` with AdamW, a warm-up and a cosine decay."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(step / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * step / steps)),
    )
    model.train()
    for step, picked in enumerate(batches(rows, BATCH, steps, np.random.default_rng(SEED))):
        loss = loss_of(step, picked)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % REPORT_EVERY == 0 or step == steps - 1:
            print(f"{type(model).__name__} step {step} of {steps}: loss {loss.item():.3f}")
    model.eval()


def subject_numbers(rows: list[Sample]) -> Tensor:
    """Return each sample's position in `SUBJECTS`."""
    return torch.tensor([SUBJECTS.index(row.subject) for row in rows])


def train_clip(rows: list[Sample]) -> tuple[CLIPModel, CLIPProcessor]:
    """Train CLIP alternately on captions, plain prompts and two augmented views of each image.

    The views pull images of one subject together, but not into a single vector: the nearest images
    are the most similar ones, and near-duplicates can be told from images of the same subject.
    """
    model, processor = make_clip(every_caption())
    images, subjects = pixels(processor, rows), subject_numbers(rows)
    texts = [[row.caption for row in rows], [PROMPT.format(row.subject) for row in rows]]

    def loss_of(step: int, picked: np.ndarray) -> Tensor:
        kind = step % 3
        if kind == len(texts):
            some = picked[: BATCH // 2]
            return _look_loss(model, images[some], subjects[some])
        chosen = [texts[kind][index] for index in picked]
        return _text_loss(model, processor, images[picked], chosen)

    fit(model, loss_of, len(rows), CLIP_STEPS)
    return model, processor


def _text_loss(
    model: CLIPModel, processor: CLIPProcessor, images: Tensor, texts: list[str]
) -> Tensor:
    """Return CLIP's contrastive loss; all images with the same text count as correct matches."""
    distinct = sorted(set(texts))
    tokens = processor.tokenizer(distinct, padding=True, return_tensors="pt")
    vectors = embed_images(model, images)
    logits = model.logit_scale.exp() * vectors @ embed_texts(model, **tokens).T
    wanted = torch.tensor([distinct.index(text) for text in texts])
    belongs = functional.one_hot(wanted, len(distinct)).float()
    by_text = functional.cross_entropy(logits.T, (belongs / belongs.sum(0)).T)
    return functional.cross_entropy(logits, wanted) + by_text


def _look_loss(model: CLIPModel, images: Tensor, subjects: Tensor) -> Tensor:
    """Return the loss of identifying each image, and its subject, by a second view of it."""
    gain = torch.empty(len(images), 1, 1, 1).uniform_(0.85, 1.15)
    shift = torch.randint(-LOOK_SHIFT, LOOK_SHIFT + 1, (2,)).tolist()
    looks = torch.roll(images, shift, (2, 3)) * gain + LOOK_NOISE * torch.randn_like(images)
    vectors = embed_images(model, torch.cat([images, looks]))
    first, second = vectors.chunk(2)
    logits = first @ second.T / LOOK_TEMPERATURE
    same = logits.masked_fill(subjects[:, None] != subjects, -torch.inf).logsumexp(dim=1)
    found = LOOK_SHARE * logits.diagonal() + (1 - LOOK_SHARE) * same
    return (logits.logsumexp(dim=1) - found).mean()


def train_blip(rows: list[Sample]) -> tuple[BlipForConditionalGeneration, BlipProcessor]:
    """Train BLIP to write the captions.

    An auxiliary head predicts the subject from the vision tower's class token. It teaches the tower
    what to look at long before the language model does, and is discarded afterwards.
    """
    model, processor = make_blip(every_caption())
    images = pixels(processor, rows)
    tokens = processor.tokenizer([row.caption for row in rows], padding=True, return_tensors="pt")
    words, mask = tokens["input_ids"], tokens["attention_mask"]
    words[:, 0] = model.config.text_config.bos_token_id
    labels = words.masked_fill(mask == 0, NOT_SCORED)
    subjects = subject_numbers(rows)
    model.namer = nn.Linear(TOWER["hidden_size"], len(SUBJECTS))

    def loss_of(_: int, picked: np.ndarray) -> Tensor:
        seen = model.vision_model(pixel_values=images[picked])
        written = model.text_decoder(
            input_ids=words[picked],
            attention_mask=mask[picked],
            encoder_hidden_states=seen.last_hidden_state,
            labels=labels[picked],
            reduction="mean",
        )
        named = functional.cross_entropy(model.namer(seen.pooler_output), subjects[picked])
        loss: Tensor = written.loss + named
        return loss

    fit(model, loss_of, len(rows), BLIP_STEPS)
    del model.namer
    return model, processor


def save(folder: Path, model: Any, processor: Any, figures: dict[str, float], **card: Any) -> None:
    """Write a trained model's folder: weights, configuration, processor and card."""
    for label, value in figures.items():
        print(f"{label}: {value:.4g}")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    measured_on = f"{HELD_OUT} held-out crops"
    write_card(folder, crops=CROPS, measured_on=measured_on, figures=figures, **card)


def save_diffusion(rows: list[Sample]) -> None:
    """Train the tiny Stable Diffusion with the tiny CLIP's text encoder, measure and save it."""
    from demo import train_diffusion as diffusion  # noqa: PLC0415 - needs the CLIP, once trained

    torch.manual_seed(SEED)
    pipeline = diffusion.train_diffusion(rows)
    figures = diffusion.measure_diffusion(pipeline)
    for label, value in figures.items():
        print(f"{label}: {value:.4g}")
    pipeline.to(torch.float16).save_pretrained(DIFFUSION_FOLDER)
    for file in DIFFUSION_FOLDER.rglob("*.safetensors"):
        file.chmod(0o644)
    write_card(
        DIFFUSION_FOLDER,
        name="Stable Diffusion",
        task="text-to-image",
        library="diffusers",
        what="It draws images of 64 pixels, with a UNet of 2.8 million weights and a VAE of 0.7.",
        steps=diffusion.VAE_STEPS + diffusion.DECODER_STEPS + diffusion.UNET_STEPS,
        crops=CROPS - CROPS // len(SUBJECTS),
        measured_on=f"{diffusion.DRAWN} drawings a subject, in which the tiny CLIP sees it or not",
        figures=figures,
        unseen=NEW_SUBJECT,
    )


def main() -> None:
    """Train, measure and save the models, or some of them."""
    parser = argparse.ArgumentParser(prog="python -m demo.train", description=main.__doc__)
    parser.add_argument("models", nargs="*", choices=MODELS, default=MODELS)
    wanted = parser.parse_args().models
    torch.set_num_threads(THREADS)
    rows = samples("train", CROPS, SEED)
    held_out = samples("collection", HELD_OUT, SEED + 1)
    if "clip" in wanted:
        torch.manual_seed(SEED)
        clip = train_clip(rows)
        what = "A CLIP of 1.0 million weights that embeds images of 64 pixels and short texts."
        details = {"name": "CLIP", "task": "zero-shot-image-classification", "what": what}
        save(CLIP_FOLDER, *clip, measure_clip(*clip, held_out), steps=CLIP_STEPS, **details)
    if "blip" in wanted:
        torch.manual_seed(SEED)
        blip = train_blip(rows)
        what = "A BLIP of 1.0 million weights that writes a sentence for an image of 64 pixels."
        details = {"name": "BLIP", "task": "image-to-text", "what": what}
        save(BLIP_FOLDER, *blip, measure_blip(*blip, held_out), steps=BLIP_STEPS, **details)
    if "diffusion" in wanted:
        save_diffusion(rows)


if __name__ == "__main__":
    main()
