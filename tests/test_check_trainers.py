"""`scripts/check_trainers.py`, with a trainer that reads as EveryDream2 does, or does not."""

import importlib
from pathlib import Path

import pytest

check_trainers = importlib.import_module("scripts.check_trainers")

RESOLVER = """
import pathlib, types, yaml

def resolve(folder, options):
    for path in pathlib.Path(folder).glob("*.[jp]*g"):
        told = yaml.safe_load(path.with_suffix(".yaml").read_text("utf-8"))
        tags = [t if isinstance(t, dict) else {"tag": t, "weight": 1} for t in told.get("tags", [])]
        tags.sort(key=lambda tag: tag["weight"], reverse=True)
        caption = ", ".join([told["main_prompt"], *(tag["tag"] for tag in tags)])
        yield types.SimpleNamespace(
            pathname=str(path),
            load_image=path.read_bytes,
            caption=types.SimpleNamespace(get_caption=lambda caption=caption: caption),
            multiplier=told.get("multiply", 1.0),
        )
"""
WEBP = RESOLVER.replace("*.[jp]*g", "*.[jpw]*[gp]")
ASPECTS = "get_aspect_buckets = lambda resolution: [resolution]\n"
OPTIONS = '("--config", "--optimizer_config", "--sample_prompts")\n'


@pytest.mark.parametrize(
    ("resolver", "options", "code", "told"),
    [
        (RESOLVER, OPTIONS, 1, "is not found"),  # it passes WebP by
        (WEBP, OPTIONS, 0, "everydream2    full        21 of 21   -"),
        (WEBP.replace("reverse=True", "reverse=False"), OPTIONS, 1, "red hat"),
        (WEBP.replace("multiply", "times"), OPTIONS, 1, "repeats=1"),
        (WEBP, '("--config",)', 1, "--optimizer_config"),
    ],
)
def test_what_a_trainer_finds_is_compared(tmp_path, capsys, resolver, options, code, told):
    """All pairs with their captions, by the trainer's own code, and the options of the command."""
    (tmp_path / "data").mkdir()
    files = {"data/resolver.py": resolver, "data/aspects.py": ASPECTS, "train.py": options}
    for name, text in files.items():
        Path(tmp_path, name).write_text(text, encoding="utf-8")
    assert check_trainers.main(["--checkout", str(tmp_path)]) == code
    assert told in capsys.readouterr().out


def test_a_folder_that_is_no_trainer_is_refused(tmp_path, capsys):
    """The trainers that are known are named."""
    with pytest.raises(SystemExit):
        check_trainers.main(["--checkout", str(tmp_path)])
    assert "is no checkout of kohya, musubi-tuner, " in capsys.readouterr().err
