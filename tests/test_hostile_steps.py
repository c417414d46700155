import pytest

from tests.hostile_images import HOSTILE, saved
from tests.hostile_steps import STEPS

_FILLER = 1 << 20
_NAMES = (  # one of each way to hurt; benchmarks/hostile.py takes all, and more of each
    *("jpeg-scans", "jpeg-fill-bytes", "png-chunks", "png-too-many-pixels"),
    *("webp-chunks", "gif-blocks", "heic-boxes", "tiff-chain"),
)


@pytest.mark.parametrize("step", STEPS)
def test_a_step_goes_on_and_says_why_each_image_was_rejected(step, tmp_path, monkeypatch):
    """Among images that are made to hurt, the good one comes out, and each other as it should."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    images = {name: HOSTILE[name].make(_FILLER) for name in _NAMES}
    images["png-profiles"] = HOSTILE["png-profiles"].make(4 * _FILLER)
    reasons = {name: HOSTILE[name].reason for name in images}
    images["jpeg-good"], reasons["jpeg-good"] = saved("JPEG"), None
    assert STEPS[step](images, tmp_path / "step") == reasons
