"""What steps do to the weights, against the loop of diffusers' scripts, written down once more."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from peft import LoraConfig
from safetensors.torch import load_file
from torch.nn.functional import mse_loss

from fondant_spec.worker.component_code import load_module
from tests.made_trainings import FINE_TUNE, folder_of, training_rows, tuned
from tests.tiny_diffusion import make_stable_diffusion

STEPS, RATE = 6, 3e-3
FILES = {
    "full": "unet/diffusion_pytorch_model.safetensors",
    "lora": "pytorch_lora_weights.safetensors",
}


@pytest.fixture
def fresh_accelerate():
    """Let go of what accelerate keeps for the process."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def by_the_scripts(model, method, batches):
    """Train as the scripts do, but on the draws that are given; return the UNet."""
    accelerator = Accelerator(gradient_accumulation_steps=2, cpu=True)
    schedule = DDPMScheduler.from_pretrained(model, subfolder="scheduler")
    scale = AutoencoderKL.from_pretrained(model, subfolder="vae").config.scaling_factor
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
    if method == "lora":
        unet.requires_grad_(requires_grad=False)
        torch.manual_seed(3)
        layers = ["to_k", "to_q", "to_v", "to_out.0"]
        options = {"r": 4, "lora_alpha": 4, "init_lora_weights": "gaussian"}
        unet.add_adapter(LoraConfig(target_modules=layers, **options))
    weights = [one for one in unet.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=1e-2)
    course = get_scheduler("cosine", optimizer, num_warmup_steps=2, num_training_steps=STEPS)
    unet, optimizer, course = accelerator.prepare(unet.train(), optimizer, course)
    for batch in batches:
        with accelerator.accumulate(unet):
            mean, spread = torch.stack([one.moments for one in batch]).chunk(2, dim=1)
            drawn = torch.stack([one.spread for one in batch])
            latents = (mean + torch.exp(0.5 * spread) * drawn) * scale
            noise = torch.stack([one.noise for one in batch])
            timesteps = torch.tensor([one.timestep for one in batch])
            noisy = schedule.add_noise(latents, noise, timesteps)
            texts = torch.stack([one.conditions["text"] for one in batch])
            loss = mse_loss(unet(noisy, timesteps, texts).sample, noise)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            course.step()
            optimizer.zero_grad()
    return accelerator.unwrap_model(unet)


@pytest.mark.usefixtures("fresh_accelerate")
@pytest.mark.parametrize("method", ["full", "lora"])
def test_steps_are_those_of_diffusers_scripts(tmp_path, monkeypatch, method):
    """From the same draws to the same weights: accumulated, clipped, warmed up and decayed."""
    model = make_stable_diffusion(tmp_path / "sd")
    maker = load_module(FINE_TUNE, "seen_examples").ExampleMaker
    seen, drawn = maker.seen, {}

    def noted(self, step, place, sample):
        return drawn.setdefault((step, place.position), seen(self, step, place, sample))

    monkeypatch.setattr(maker, "seen", noted)
    asked = {
        "method": method,
        "max_train_steps": STEPS,
        "gradient_accumulation_steps": 2,
        "learning_rate": RATE,
        "lr_scheduler": "cosine",
        "lr_warmup_steps": 2,
        "noise_offset": 0.05,
        "seed": 3,
    }
    found = load_file(
        folder_of(tuned(model, training_rows(18, 2), tmp_path, **asked)) / FILES[method]
    )
    examples = [drawn[key] for key in sorted(drawn)]
    batches = [examples[start : start + 4] for start in range(0, len(examples), 4)]
    wanted = by_the_scripts(model, method, batches)
    assert len(batches) == 2 * STEPS
    if method == "lora":
        names = ((".lora_A.default.", ".lora.down."), (".lora_B.default.", ".lora.up."))
        found = {name.removeprefix("unet."): weight for name, weight in found.items()}
        for own, layout in names:
            found = {name.replace(layout, own): weight for name, weight in found.items()}
    trained = {name: one for name, one in wanted.named_parameters() if one.requires_grad}
    assert trained.keys() == found.keys()
    for name, weight in trained.items():
        torch.testing.assert_close(found[name], weight.detach(), atol=1e-6, rtol=1e-5)
