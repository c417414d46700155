"""Reads an export of layout simpletuner with the metadata backend of SimpleTuner."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from accelerate import Accelerator
from simpletuner.helpers.data_backend.local import LocalDataBackend
from simpletuner.helpers.metadata.backends.parquet import ParquetMetadataBackend
from simpletuner.helpers.training.state_tracker import StateTracker


def pairs() -> Iterator[tuple[str, str, list[str], bool, int]]:
    """Yield (split, file, captions, masked, repeats) for all pairs in the working directory."""
    config = json.loads(Path("config/config.json").read_text(encoding="utf-8"))
    backends = json.loads(Path(config["data_backend_config"]).read_text(encoding="utf-8"))
    StateTracker.set_args(SimpleNamespace(**config | {"output_dir": "cache"}))
    masks = {b["id"]: b for b in backends if b["dataset_type"] == "conditioning"}
    for backend in backends:
        if "parquet" in backend:
            split = "train" if backend["dataset_type"] == "image" else "validation"
            split = "regularization" if backend.get("is_regularisation_data") else split
            mask = masks.get(backend.get("conditioning_data"))
            for path, caption, repeats in _read(backend):
                captions = [caption] if isinstance(caption, str) else caption
                masked = mask is not None and _has_mask(mask, path)
                yield split, path, captions, masked, repeats


def _has_mask(mask: dict, path: str) -> bool:
    """Return whether there is a mask where the trainer looks for it, under the image's own name."""
    files = LocalDataBackend(Accelerator(cpu=True), mask["id"])
    return files.read_image(str(Path(mask["instance_data_dir"], Path(path).name))) is not None


def _read(backend: dict) -> Iterator[tuple[str, str | list[str], int]]:
    """Yield each file that the trainer puts in buckets, its caption, and its repeats per epoch."""
    accelerator, key, folder = Accelerator(cpu=True), backend["id"], backend["instance_data_dir"]
    files = LocalDataBackend(accelerator, key)
    StateTracker.set_data_backend_config(key, backend)
    metadata = ParquetMetadataBackend(
        id=key,
        instance_data_dir=folder,
        cache_file=f"cache/{key}_indices",
        metadata_file=f"cache/{key}_metadata",
        data_backend=files,
        accelerator=accelerator,
        batch_size=1,
        resolution=backend["resolution"],
        resolution_type=backend["resolution_type"],
        parquet_config=backend["parquet"],
        repeats=backend["repeats"],
    )
    metadata.compute_aspect_ratio_bucket_indices(ignore_existing_cache=True)
    buckets = metadata.aspect_ratio_bucket_indices.values()
    repeats = len(metadata) // max(1, sum(map(len, buckets)))  # by its own count, at batch size 1
    for paths in buckets:
        for path in paths:
            name = path.replace(folder, "").removeprefix("/")
            yield path, metadata.caption_cache_entry(name), repeats
