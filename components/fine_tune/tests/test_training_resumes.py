"""Training that is killed, and goes on: at the end all is as if it had not been."""

import hashlib
import json
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from fondant_spec.errors import InputDataError
from fondant_spec.worker.component_code import load_module
from tests.made_trainings import FINE_TUNE, folder_of, told_of, training_rows, tuned
from tests.tiny_diffusion import make_stable_diffusion

ARGUMENTS = {
    "method": "full",
    "use_ema": True,
    "max_train_steps": 16,
    "checkpointing_steps": 3,
    "validation_steps": 6,
    "train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "learning_rate": 1e-3,
    "lr_scheduler": "cosine",
    "lr_warmup_steps": 3,
    "random_flip": True,
    "center_crop": False,
    "caption_dropout": 0.3,
    "noise_offset": 0.1,
}
ROWS = {"more_captions": [["a blue dog", f"number {number}"] for number in range(10)]}
ALONE = """
import json, logging, sys
from pathlib import Path
import torch
from tests.made_trainings import training_rows, tuned
logging.basicConfig(level="INFO")
torch.set_num_threads(1)
model, tmp_path, rows, arguments = sys.argv[1:]
tuned(Path(model), training_rows(**json.loads(rows)), Path(tmp_path), **json.loads(arguments))
"""
KILLED = f"""
import os, signal
from fondant_spec.worker.component_code import load_module
from tests.made_trainings import FINE_TUNE
checkpoints = load_module(FINE_TUNE, "training_checkpoints").Checkpoints
save = checkpoints.save
def saves_or_dies(self, checkpoint):
    if checkpoint.step == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, checkpoint)
checkpoints.save = saves_or_dies
{ALONE}"""
CURVES = ("train_loss", "validation_loss")
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A Stable Diffusion."""
    return make_stable_diffusion(tmp_path_factory.mktemp("models") / "sd")


def command(model, folder, program=ALONE):
    """Return the command that trains in a process of its own: what others set there rounds too."""
    return [
        sys.executable,
        "-c",
        program,
        str(model),
        str(folder),
        *map(json.dumps, (ROWS, ARGUMENTS)),
    ]


def trained(model, folder):
    """Train to the end, and return what was logged, the digest of the weights, and the curves."""
    done = subprocess.run(command(model, folder), check=True, capture_output=True, text=True)
    (told,) = folder.glob("base/**/training.json")
    weights = (told.parent / UNET).read_bytes()
    curves = {curve: json.loads(told.read_text())[curve] for curve in CURVES}
    return done.stderr, hashlib.sha256(weights).hexdigest(), curves


def test_a_killed_training_ends_at_the_same_weights(model, tmp_path):
    """The same curves too; two states are kept on the way, and none when all is done."""
    killed = subprocess.run(command(model, tmp_path / "killed", KILLED), check=False)
    assert killed.returncode == -signal.SIGKILL
    kept = sorted((tmp_path / "killed").glob("base/**/checkpoints/step-*"))
    assert [state.name for state in kept] == ["step-00000003", "step-00000006"]
    logged, *resumed = trained(model, tmp_path / "killed")
    assert "Going on after step 6" in logged
    logged, *whole = trained(model, tmp_path / "whole")
    assert "Going on after step" not in logged
    assert resumed == whole
    assert not kept[0].parent.exists()


def test_what_was_kept_is_of_the_same_rows(tmp_path, caplog):
    """A state of rows that have changed since is left out; one that is damaged is passed over."""
    checkpoints = load_module(FINE_TUNE, "training_checkpoints")
    weights = {"a": torch.ones(2)}
    mine = checkpoints.Checkpoints(tmp_path, "mine")
    for step in (1, 2, 3):
        mine.save(checkpoints.Checkpoint(step, weights, {"lr": 0.5}, {"n": step}))
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-00000002", "step-00000003"]
    assert mine.last().told == {"n": 3}
    damaged = tmp_path / "step-00000003" / "weights.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:40])
    assert mine.last().step == 2
    assert "step-00000003 is damaged" in caplog.text
    assert torch.equal(mine.last().weights["a"], weights["a"])
    assert checkpoints.Checkpoints(tmp_path, "other").last() is None
    assert "of other rows" in caplog.text


def test_states_hold_no_code(tmp_path):
    """An optimiser's state that would run some is refused, and passed over."""
    checkpoints = load_module(FINE_TUNE, "training_checkpoints")
    mine = checkpoints.Checkpoints(tmp_path, "mine")
    mine.save(checkpoints.Checkpoint(1, {"a": torch.ones(2)}, {}, {}))
    torch.save({"optimizer": subprocess.Popen}, tmp_path / "step-00000001" / "optimizer.pt")
    assert mine.last() is None


def test_images_are_encoded_once(model, tmp_path, monkeypatch):
    """What an earlier run has on disk is not made again, under whatever rows come then."""
    encoder = load_module(FINE_TUNE, "latent_encoder").LatentEncoder
    seen = []
    moments = encoder.moments

    def counted(self, windows):
        seen.append(len(windows))
        return moments(self, windows)

    monkeypatch.setattr(encoder, "moments", counted)
    diverging = {"method": "full", "learning_rate": 1e30, "random_flip": True}
    with pytest.raises(Exception, match="is no number"):
        tuned(model, training_rows(), tmp_path, **diverging)
    assert len(seen) == 2 * 8 + 2  # eight images and their mirror images, two to validate with
    with pytest.raises(Exception, match="is no number"):
        tuned(model, training_rows(), tmp_path, **diverging)
    assert len(seen) == 2 * 8 + 2


def test_processes_train_together(model, tmp_path):
    """Two with a batch each take the steps of one that accumulates two batches."""
    asked = ARGUMENTS | {"max_train_steps": 4, "learning_rate": 1e-4, "checkpointing_steps": 3}
    together = asked | {"gradient_accumulation_steps": 1, "num_processes": 2}
    rows = training_rows(9, 3)
    two, one = (tuned(model, rows, tmp_path, **which) for which in (together, asked))
    for curve in CURVES:
        for alone, found in zip(told_of(one)[curve], told_of(two)[curve], strict=True):
            assert found == pytest.approx(alone, rel=1e-4)
    weights = load_file(folder_of(two) / UNET)
    for name, weight in load_file(folder_of(one) / UNET).items():
        torch.testing.assert_close(weights[name], weight, atol=1e-5, rtol=1e-3)


def test_what_ends_one_process_ends_all(tmp_path):
    """With its own error."""
    together = load_module(FINE_TUNE, "training_processes")
    jobs = load_module(FINE_TUNE, "training_job")
    run = load_module(FINE_TUNE, "tuning_settings").RunSettings(num_processes=2)
    settings = jobs.Settings(run, None, None, None, None, 0.0, "no")
    share = together.Share("./nowhere", None, None, settings, None, tmp_path, "cpu")
    with pytest.raises(InputDataError, match=r"'\./nowhere': there is no such folder"):
        together.train_together(share)
