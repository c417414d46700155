"""Train the tiny CLIP and the tiny BLIP on crops of the photographs: `python -m demo.train`.

The same seeds give the same models on the same machine. Every figure in the models' cards comes
from here, measured on windows that no model was trained on.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BlipForConditionalGeneration, BlipProcessor, CLIPModel, CLIPProcessor

from demo.photos import SUBJECTS
from demo.tiny_models import TOWER, embed_images, embed_texts, make_blip, make_clip
from demo.training_data import PROMPT, Sample, batches, every_caption, samples

MODELS = Path(__file__).parent / "models"
SEED = 20
TRAIN_CROPS = 12_800
HELD_OUT_CROPS = 1_600
BATCH = 128
CLIP_STEPS, BLIP_STEPS = 500, 1_000
PEAK_RATE, WARM_UP = 1e-3, 100
NOT_SCORED = -100  # the label that the language model's loss skips


def pixels(processor: CLIPProcessor | BlipProcessor, rows: list[Sample]) -> Tensor:
    """Return what the image processor makes of the samples, float32 (N, 3, side, side)."""
    images = [row.image for row in rows]
    return processor.image_processor(images, return_tensors="pt")["pixel_values"]


def fit(
    model: nn.Module, loss_of: Callable[[int, np.ndarray], Tensor], rows: int, steps: int
) -> None:
    """Minimise `loss_of(step, row numbers)` with AdamW, a warm-up and a cosine decay."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.05)
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
        if step % 100 == 0 or step == steps - 1:
            print(f"{type(model).__name__} step {step} of {steps}: loss {loss.item():.3f}")
    model.eval()


def train_clip(rows: list[Sample]) -> tuple[CLIPModel, CLIPProcessor]:
    """Train CLIP on captions and on plain prompts, in turn.

    Texts that are equal are each other's positives: a batch holds every subject several times.
    """
    model, processor = make_clip(every_caption())
    images = pixels(processor, rows)
    texts = [[row.caption for row in rows], [PROMPT.format(row.subject) for row in rows]]

    def loss_of(step: int, picked: np.ndarray) -> Tensor:
        chosen = [texts[step % 2][index] for index in picked]
        distinct = sorted(set(chosen))
        tokens = processor.tokenizer(distinct, padding=True, return_tensors="pt")
        vision = embed_images(model, images[picked])
        text = embed_texts(model, **tokens)
        logits = model.logit_scale.exp() * vision @ text.T
        wanted = torch.tensor([distinct.index(caption) for caption in chosen])
        belongs = functional.one_hot(wanted, len(distinct)).float()
        of_text = functional.cross_entropy(logits.T, (belongs / belongs.sum(0)).T)
        return functional.cross_entropy(logits, wanted) + of_text

    fit(model, loss_of, len(rows), CLIP_STEPS)
    return model, processor


def train_blip(rows: list[Sample]) -> tuple[BlipForConditionalGeneration, BlipProcessor]:
    """Train BLIP to write the captions.

    A head that names the subject from the vision tower's class token teaches the tower what to
    look at, long before the language model does; it is thrown away.
    """
    model, processor = make_blip(every_caption())
    images = pixels(processor, rows)
    tokens = processor.tokenizer([row.caption for row in rows], padding=True, return_tensors="pt")
    words, mask = tokens["input_ids"], tokens["attention_mask"]
    words[:, 0] = model.config.text_config.bos_token_id
    labels = words.masked_fill(mask == 0, NOT_SCORED)
    subjects = torch.tensor([SUBJECTS.index(row.subject) for row in rows])
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
        return written.loss + named

    fit(model, loss_of, len(rows), BLIP_STEPS)
    del model.namer
    return model, processor


@torch.inference_mode()
def measure_clip(
    model: CLIPModel, processor: CLIPProcessor, rows: list[Sample]
) -> dict[str, float]:
    """Return retrieval precision by image (ten best of the others) and by plain prompt."""
    vectors = embed_images(model, pixels(processor, rows))
    subjects = np.array([SUBJECTS.index(row.subject) for row in rows])
    similar = vectors @ vectors.T
    similar.fill_diagonal_(-1)
    best = similar.topk(10).indices.numpy()
    prompts = [PROMPT.format(subject) for subject in SUBJECTS]
    tokens = processor.tokenizer(prompts, padding=True, return_tensors="pt")
    by_prompt = (embed_texts(model, **tokens) @ vectors.T).topk(20).indices.numpy()
    duplicates = (similar > 0.94).float().sum(1).mean() / (len(rows) / len(SUBJECTS))  # noqa: PLR2004
    return {
        "image retrieval precision at 10": float((subjects[best] == subjects[:, None]).mean()),
        "prompt retrieval precision at 20": float(
            (subjects[by_prompt] == np.arange(len(SUBJECTS))[:, None]).mean()
        ),
        "share of a subject nearer than 0.94": float(duplicates),
    }


@torch.inference_mode()
def measure_blip(
    model: BlipForConditionalGeneration, processor: BlipProcessor, rows: list[Sample]
) -> dict[str, float]:
    """Return how many captions name their subject and no other, and how many are wholly right."""
    captions = write_captions(model, processor, rows)
    named = [
        [subject for subject in SUBJECTS if subject in caption.split()] == [row.subject]
        for caption, row in zip(captions, rows, strict=True)
    ]
    exact = [
        caption == row.caption.lower().replace("-", " - ")
        for caption, row in zip(captions, rows, strict=True)
    ]
    return {
        "captions that name the subject": float(np.mean(named)),
        "captions that are right in every word": float(np.mean(exact)),
        "distinct captions": float(len(set(captions))),
    }


def write_captions(
    model: BlipForConditionalGeneration, processor: BlipProcessor, rows: list[Sample]
) -> list[str]:
    """Return one caption a sample, greedily decoded."""
    captions: list[str] = []
    for start in range(0, len(rows), BATCH):
        batch = pixels(processor, rows[start : start + BATCH])
        written = model.generate(pixel_values=batch, max_new_tokens=24)
        captions += processor.batch_decode(written, skip_special_tokens=True)
    return captions


def main() -> None:
    """Train, measure and save both models, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["clip", "blip"])
    wanted = parser.parse_args().models
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    rows = samples("train", TRAIN_CROPS, SEED)
    held_out = samples("collection", HELD_OUT_CROPS, SEED + 1)
    if "clip" in wanted:
        clip, processor = train_clip(rows)
        print(measure_clip(clip, processor, held_out))
        clip.save_pretrained(MODELS / "clip")
        processor.save_pretrained(MODELS / "clip")
    if "blip" in wanted:
        blip, processor = train_blip(rows)
        print(measure_blip(blip, processor, held_out))
        blip.save_pretrained(MODELS / "blip")
        processor.save_pretrained(MODELS / "blip")


if __name__ == "__main__":
    main()
