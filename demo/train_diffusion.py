"""Train the tiny Stable Diffusion on all subjects but one: `python -m demo.train diffusion`."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from demo import NEW_SUBJECT
from demo.diffusion_classes import AutoencoderKL, StableDiffusionPipeline
from demo.photos import SUBJECTS
from demo.tiny_diffusion import IMAGE_SIZE, make_pipeline, make_unet, make_vae
from demo.training_data import PROMPT, Sample, batches
from demo.zero_shot import subjects_in

SEED = 20
VAE_STEPS, VAE_BATCH, VAE_RATE = 1_400, 32, 2e-3
DECODER_STEPS, DECODER_RATE = 600, 1e-3
UNET_STEPS, UNET_BATCH, UNET_RATE = 4_000, 64, 1e-3
KL_SHARE = 1e-6
DROPPED_SHARE = 0.1  # of captions are left empty, for classifier-free guidance
PLAIN_SHARE = 0.25  # of captions are replaced by the plain prompt
AVERAGE_OVER = 0.999
WARM_UP = 100
DRAWN, DRAWING_STEPS, GUIDANCE = 10, 20, 3.0  # for the measurement
REPORT_EVERY = 100


class Plan(NamedTuple):
    """A training schedule: steps, rows per step, and the peak learning rate."""

    steps: int
    batch: int
    rate: float


def measure_diffusion(pipeline: StableDiffusionPipeline) -> dict[str, float]:
    """Return the shares of plain prompts drawn right, by CLIP: seen subjects, and the new one."""
    right: dict[str, float] = {}
    for subject in SUBJECTS:
        made = pipeline(
            [PROMPT.format(subject)] * DRAWN,
            num_inference_steps=DRAWING_STEPS,
            guidance_scale=GUIDANCE,
            generator=[torch.Generator().manual_seed(seed) for seed in range(DRAWN)],
        ).images
        right[subject] = subjects_in(made).count(subject) / DRAWN
    new = right.pop(NEW_SUBJECT)
    return {
        "prompts for the fifteen subjects drawn right": float(np.mean([*right.values()])),
        f"prompts for the {NEW_SUBJECT} drawn right": new,
    }


def train_diffusion(rows: list[Sample]) -> StableDiffusionPipeline:
    """Train a VAE on crops, and a UNet on its latents and the captions.

    Neither sees the new subject, except the VAE's decoder at the end: it must be able to decode the
    subject, as a real VAE, trained on photographs of everything, can.
    """
    known = [row for row in rows if row.subject != NEW_SUBJECT]
    pixels = torch.stack([pixels_of(row.image) for row in known])
    vae = train_vae(pixels)
    pipeline = make_pipeline(vae, make_unet())
    _train_unet(pipeline, encoded(vae, pixels), known)
    _finish_decoder(vae, torch.stack([pixels_of(row.image) for row in rows]))
    return pipeline


def pixels_of(image: Image.Image) -> Tensor:
    """Return the centre of an image as the model's input, float32 (3, 64, 64) within -1 and 1."""
    square = ImageOps.fit(image, (IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 127.5 - 1


def train_vae(pixels: Tensor) -> AutoencoderKL:
    """Train a VAE to reconstruct images, its latents scaled to a standard deviation of one."""
    vae = make_vae()

    def loss_of(picked: np.ndarray, noise: torch.Generator) -> Tensor:
        images = pixels[picked]
        hidden = vae.encode(images).latent_dist
        seen = vae.decode(hidden.sample(noise)).sample
        return functional.l1_loss(seen, images) + KL_SHARE * hidden.kl().mean()

    fit(vae, loss_of, len(pixels), Plan(VAE_STEPS, VAE_BATCH, VAE_RATE))
    vae.register_to_config(scaling_factor=float(1 / encoded(vae, pixels[:512], scale=1).std()))
    return vae


def _finish_decoder(vae: AutoencoderKL, pixels: Tensor) -> None:
    """Train only the decoder on images of all subjects; the latents stay the same."""
    latents = encoded(vae, pixels, scale=1)

    def loss_of(picked: np.ndarray, _: torch.Generator) -> Tensor:
        return functional.l1_loss(vae.decode(latents[picked]).sample, pixels[picked])

    vae.encoder.requires_grad_(requires_grad=False)
    fit(vae, loss_of, len(pixels), Plan(DECODER_STEPS, VAE_BATCH, DECODER_RATE))


def encoded(vae: AutoencoderKL, pixels: Tensor, scale: float | None = None) -> Tensor:
    """Return the scaled latents of images, float32 (N, 4, 16, 16)."""
    with torch.no_grad():
        parts = [vae.encode(part).latent_dist.mean for part in pixels.split(VAE_BATCH)]
    return torch.cat(parts) * (vae.config.scaling_factor if scale is None else scale)


def _train_unet(pipeline: StableDiffusionPipeline, latents: Tensor, rows: list[Sample]) -> None:
    """Train the UNet to predict noise, and keep the average of its later weights."""
    texts = _Texts(pipeline, rows)
    unet, scheduler = pipeline.unet, pipeline.scheduler
    average = AveragedModel(unet, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE_OVER))

    def loss_of(picked: np.ndarray, noise: torch.Generator) -> Tensor:
        clean = latents[picked]
        added = torch.randn(clean.shape, generator=noise)
        times = torch.randint(scheduler.config.num_train_timesteps, (len(picked),), generator=noise)
        noisy = scheduler.add_noise(clean, added, times)
        return functional.mse_loss(unet(noisy, times, texts.drawn(picked, noise)).sample, added)

    plan = Plan(UNET_STEPS, UNET_BATCH, UNET_RATE)
    fit(unet, loss_of, len(latents), plan, average)
    unet.load_state_dict(average.module.state_dict())


class _Texts:
    """The rows' texts as encoded by the text encoder, each distinct one encoded once."""

    def __init__(self, pipeline: StableDiffusionPipeline, rows: list[Sample]) -> None:
        plain = [PROMPT.format(row.subject) for row in rows]
        texts = sorted({"", *plain, *(row.caption for row in rows)})
        tokens = pipeline.tokenizer(
            texts, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        with torch.no_grad():
            self._encoded = pipeline.text_encoder(tokens).last_hidden_state
        number = {text: index for index, text in enumerate(texts)}
        self._captions = torch.tensor([number[row.caption] for row in rows])
        self._plain = torch.tensor([number[text] for text in plain])

    def drawn(self, picked: np.ndarray, noise: torch.Generator) -> Tensor:
        """Return a text for each row, float32 (N, 77, 128), occasionally an empty one."""
        chance = torch.rand(len(picked), generator=noise)
        chosen = torch.where(chance < PLAIN_SHARE, self._plain[picked], self._captions[picked])
        chosen[chance > 1 - DROPPED_SHARE] = 0
        return self._encoded[chosen]


def fit(
    model: nn.Module,
    loss_of: Callable[[np.ndarray, torch.Generator], Tensor],
    rows: int,
    plan: "Plan",
    average: AveragedModel | None = None,
) -> None:
    """Minimise `loss_of(row numbers, noise)`, and update the weights' average if there is one.

    The learning rate warms up, then follows a cosine decay.
    """
    steps = plan.steps
    optimiser = torch.optim.AdamW(model.parameters(), lr=plan.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(step / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    noise = torch.Generator().manual_seed(SEED)
    model.train()
    total = 0.0
    drawn = batches(rows, plan.batch, steps, np.random.default_rng(SEED))
    for step, picked in enumerate(drawn, 1):
        loss = loss_of(picked, noise)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if average is not None:
            average.update_parameters(model)
        total += loss.item()
        if step % REPORT_EVERY == 0:
            name = type(model).__name__
            print(f"{name} step {step} of {steps}: loss {total / REPORT_EVERY:.4f}", flush=True)
            total = 0.0
    model.eval()
