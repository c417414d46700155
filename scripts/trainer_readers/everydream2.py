"""Reads an export of layout everydream2 with the data resolver of EveryDream2."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from data import aspects, resolver


def pairs() -> Iterator[tuple[str, str, list[str], bool, int]]:
    """Yield (split, file, captions, masked, repeats) for all pairs in the working directory."""
    config = json.loads(Path("train.json").read_text(encoding="utf-8"))
    roots = config["data_root"]
    roots = [roots] if isinstance(roots, str) else roots
    folders = dict(zip(("train", "regularization"), roots, strict=False))
    if config["validation_config"]:
        validation = json.loads(Path(config["validation_config"]).read_text(encoding="utf-8"))
        folders["validation"] = validation["manual_data_root"]
    buckets = aspects.get_aspect_buckets(config["resolution"])
    options = argparse.Namespace(aspects=buckets, flip_p=0.0)
    for split, folder in folders.items():
        for item in resolver.resolve(folder, options):
            item.load_image()
            yield split, item.pathname, [item.caption.get_caption()], False, item.multiplier
