"""What is done about torch before a model is loaded, each time in a process of its own."""

import os
import subprocess
import sys

import pytest

from fondant_spec.cpu import PATIENT

INIT = "from torchvision import extension, _meta_registrations\n"
REGISTRATIONS = """
import torch
torch.library.register_fake("torchvision::nms")(lambda *_: None)
torch.library.register_fake("torchvision::qnms")(lambda *_: None)
"""
LIBRARY = """
import torch
library = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
IMPORT_ALL = """
import logging, pkgutil, sys
import image_toolkit.models, transformers
behind_the_door = ("image_toolkit.models.cpu.", "image_toolkit.models.gpu.")
for module in pkgutil.walk_packages(image_toolkit.models.__path__, "image_toolkit.models."):
    if not module.name.startswith(behind_the_door):
        __import__(module.name)
assert not [name for name in sys.modules if name.startswith(behind_the_door)]
"""


def run(program, *path, **environment):
    """Run a program to its good end."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (os.getcwd(), *path)))}  # noqa: PTH109
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def output(program, *path, **environment):
    """Return what a program prints."""
    return run(program, *path, **environment).stdout.strip()


@pytest.mark.parametrize("extension", ["", LIBRARY], ids=["foreign", "own"])
def test_torchvision_can_be_imported(extension, tmp_path):
    """It may have no library for this torch, or have one and no `+cpu` in its version (macOS)."""
    for name, text in (
        ("__init__", INIT),
        ("extension", extension),
        ("_meta_registrations", REGISTRATIONS),
    ):
        (tmp_path / "torchvision").mkdir(exist_ok=True)
        (tmp_path / "torchvision" / f"{name}.py").write_text(text)
    (tmp_path / "torchvision-0.28.0.dist-info").mkdir()
    (tmp_path / "torchvision-0.28.0.dist-info" / "METADATA").write_text("Version: 0.28.0\n")
    program = f"""
{IMPORT_ALL}
import torch
from image_toolkit.models.runtime.torch_setup import prepare_torch
print("torchvision" in sys.modules, hasattr(torch.ops.torchvision, "nms"))
prepare_torch()
prepare_torch()
import torchvision
print(torch.ops.torchvision.nms)
"""
    told = output(program, tmp_path).splitlines()
    assert told == ["False False", "torchvision.nms"]


@pytest.mark.parametrize(
    ("chosen", "policy", "spins"),
    [({}, "PASSIVE", 1000), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE", 30_000_000_000)],
)
def test_threads_soon_give_up_their_core(chosen, policy, spins, monkeypatch):
    """Threads that wait do, unless the user has it otherwise; so says OpenMP itself."""
    for name in PATIENT:
        monkeypatch.delenv(name, raising=False)
    program = "import image_toolkit.models.runtime.device"
    told = run(program, OMP_DISPLAY_ENV="VERBOSE", **chosen).stderr
    assert f"OMP_WAIT_POLICY = '{policy}'" in told
    assert f"GOMP_SPINCOUNT = '{spins}'" in told


def test_importing_changes_nothing():
    """What a process has of torch and transformers is its own until it loads a model."""
    program = f"""
import torch
torch.set_num_threads(3)
{IMPORT_ALL}
print(torch.get_num_threads(), hasattr(torch.ops.torchvision, "nms"))
print(transformers.logging.get_verbosity() == transformers.logging.WARNING)
from image_toolkit.models.runtime.torch_setup import prepare_torch
prepare_torch()
import image_toolkit.models.cpu.fast_cpu
print("cached_scores" in transformers.AttentionInterface(), logging.getLogger().handlers)
"""
    assert output(program).splitlines() == ["3 False", "True", "False []"]


@pytest.mark.parametrize(
    "load",
    [
        "from image_toolkit.models.embedding.embedders import image_encoder as load",
        "from image_toolkit.models.embedding.embedders import text_encoder as load",
        """
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.hub import find_model
load = lambda folder: LocalCaptioner(
    find_model(folder), Placement(torch.device("cpu"), "fp32"), None
)
""",
    ],
    ids=["images", "texts", "captions"],
)
def test_loading_a_model_prepares_torch(load, tiny):
    """Whichever kind of model is loaded, torch is prepared before."""
    kind = "blip" if "Captioner" in load else "clip"
    program = f"""
import fondant_spec.cpu
fondant_spec.cpu.cpu_count = lambda: 1
import torch
torch.set_num_threads(3)
{load}
load({str(tiny(kind))!r})
print(torch.get_num_threads())
"""
    assert output(program) == "1"


def test_threads_are_no_more_than_cores():
    """Where one core's time may be used, one thread multiplies and one prepares."""
    program = """
import fondant_spec.cpu
fondant_spec.cpu.cpu_count = lambda: 1
import torch
from image_toolkit.models.runtime.feed import Feed
from image_toolkit.models.runtime.torch_setup import prepare_torch
prepare_torch()
print(torch.get_num_threads(), Feed(print, int)._pool._max_workers)
"""
    assert output(program, OMP_NUM_THREADS="4") == "1 1"
