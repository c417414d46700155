"""What is done about torch before a model is loaded, each time in a process of its own."""

import os
import subprocess
import sys

import pytest

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


def output(program, *path, **environment):
    """Return what a program prints."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (os.getcwd(), *path)))}  # noqa: PTH109
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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
    program = """
import image_toolkit.models, torch, torchvision
print(torch.ops.torchvision.nms)
"""
    assert output(program, tmp_path) == "torchvision.nms"


def test_threads_are_no_more_than_cores():
    """Where one core's time may be used, one thread multiplies and one prepares."""
    program = """
import fondant_spec.cpu
fondant_spec.cpu.cpu_count = lambda: 1
import torch
from image_toolkit.models.runtime.feed import Feed
print(torch.get_num_threads(), Feed(print, int)._pool._max_workers)
"""
    assert output(program, OMP_NUM_THREADS="4") == "1 1"
