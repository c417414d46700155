"""One contestant of `embedding.py` or `captioning.py`, in its own environment.

    python benchmarks/model_peers.py NAME FOLDER MODEL

FOLDER holds `images/part-*.parquet`, `files/*.jpg` and `warm/part-*.parquet`; MODEL is a folder in
the transformers format. Prints one line of JSON: how many images, and the seconds, by the wall and
of the processors, from Parquet to Parquet once the model is loaded and has seen a first batch.
"""

# ruff: noqa: PLC0415 - each peer has its own packages, and its imports are not timed
import importlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

TOKENS = 20
LOOP_BATCH = {"embed": 32, "caption": 16}


class Clock:
    """Seconds by the wall, and of the processors, this process's children included."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()

    def read(self) -> tuple[float, float]:
        """Return both since the clock was made."""
        return time.perf_counter() - self._wall, _cpu_seconds() - self._cpu


Result = tuple[int, tuple[float, float]]


def ours(folder: Path, model: Path, what: str, precision: str = "auto") -> Result:
    """Run the component as a runner does: argv in, Parquet and a manifest out."""
    import pyarrow.parquet as pq

    from fondant_spec.testing import write_dataset
    from fondant_spec.worker.component_code import component_class
    from fondant_spec.worker.run_step import run

    name = {"embed": "image_embedding", "caption": "caption_images"}[what]
    component = component_class(Path(__file__).parents[1] / "components" / name)
    loaded: list[Clock] = []
    setup = component.setup

    def timed_setup(self: Any, context: Any) -> None:
        setup(self, context)  # ends with a batch: the check against fp32
        loaded.append(Clock())

    component.setup = timed_setup  # type: ignore[method-assign]
    table = pq.read_table(folder / "images", columns=["image"])
    dataset = write_dataset(table, folder / "base", rows_per_partition=64)
    arguments = {
        "base_path": str(folder / "base"),
        "input_manifest_path": dataset.location,
        "model_id": str(model),
        "precision": precision,
    }
    if what == "caption":
        arguments |= {"max_new_tokens": str(TOKENS), "no_repeat_ngram_size": "0"}
        arguments |= {"retry_poor": "false"}  # random weights say one word twenty times
    manifest = run(component, [word for k, v in arguments.items() for word in (f"--{k}", v)])
    assert manifest is not None
    field = manifest.fields["embedding" if what == "embed" else "caption"]
    print("precision:", field.metadata["precision"])
    return manifest.rows, loaded[0].read()


def alone(folder: Path, model: Path, what: str, precision: str = "auto") -> Result:
    """Run only the model, in its fastest way, on images that are prepared already."""
    import torch

    from image_toolkit.models.captioning.generation import Generation
    from image_toolkit.models.captioning.local_captioner import LocalCaptioner
    from image_toolkit.models.embedding.embedders import image_encoder
    from image_toolkit.models.runtime.batching import BatchSize
    from image_toolkit.models.runtime.device import devices, place
    from image_toolkit.models.runtime.hub import find_model
    from image_toolkit.models.runtime.model_runner import EncoderRunner

    cells = [cell for batch in _batches(folder / "images", LOOP_BATCH[what]) for cell in batch]
    placement = place(devices()[0], precision)
    if what == "embed":
        encoder = image_encoder(str(model))
        runner = EncoderRunner(encoder, placement, "auto", BatchSize(32))
        items = [encoder.prepare(cell) for cell in cells]
        work: Callable[[list[Any]], Any] = runner.vectors
    else:
        captioner = LocalCaptioner(find_model(str(model)), placement, None)
        generation = Generation(max_new_tokens=TOKENS, no_repeat_ngram_size=0)
        items = [captioner.prepare(cell) for cell in cells]

        def work(part: list[Any]) -> Any:
            return captioner.captions(part, [""] * len(part), generation)

    size = LOOP_BATCH[what]
    work(items[:size])
    clock = Clock()
    for at in range(0, len(items), size):
        work(items[at : at + size])
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return len(items), clock.read()


def transformers(folder: Path, model: Path, what: str) -> Result:
    """Run the loop that one writes first: processor, model, fp32, in batches."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
    from transformers import CLIPVisionModelWithProjection as Tower

    processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if what == "embed":
        tower = Tower.from_pretrained(model).eval().to(device)

        def work(pixels: Any) -> Any:
            return tower(pixel_values=pixels).image_embeds.tolist()

    else:
        tokenizer = AutoTokenizer.from_pretrained(model)
        captioner = AutoModelForImageTextToText.from_pretrained(model).eval().to(device)

        def work(pixels: Any) -> Any:
            tokens = captioner.generate(pixel_values=pixels, max_new_tokens=TOKENS)
            return tokenizer.batch_decode(tokens, skip_special_tokens=True)

    def once(part: str) -> int:
        made: list[Any] = []
        with torch.inference_mode():
            for cells in _batches(folder / part, LOOP_BATCH[what]):
                images = [Image.open(io.BytesIO(cell)).convert("RGB") for cell in cells]
                pixels = processor(images=images, return_tensors="pt")["pixel_values"]
                made += work(pixels.to(device))
        pq.write_table(pa.table({"made": made}), folder / f"made-{part}.parquet")
        return len(made)

    once("warm")
    clock = Clock()
    return once("images"), clock.read()


def fondant(folder: Path, model: Path, what: str) -> Result:
    """Run Fondant's own component code on its own cluster of Dask workers."""
    import dask.dataframe as dd
    import pandas as pd

    checkout, name = Path(sys.argv[4]), {"embed": "embed_images", "caption": "caption_images"}[what]
    main = checkout / "src" / "fondant" / "components" / name / "src"
    # The workers import the component too. dask_cuda is imported everywhere, but only called on a
    # machine with GPUs.
    shims = folder / "shims"
    shims.mkdir(exist_ok=True)
    (shims / "dask_cuda.py").write_text("LocalCUDACluster = None\n")
    (shims / "component_main.py").write_text((main / "main.py").read_text())
    os.environ["PYTHONPATH"] = str(shims)
    sys.path.insert(0, str(shims))
    module = importlib.import_module("component_main")
    kind, arguments = (
        (module.EmbedImagesComponent, {})
        if what == "embed"
        else (module.CaptionImagesComponent, {"max_new_tokens": TOKENS})
    )
    component = kind(model_id=str(model), batch_size=8, **arguments)
    client = component.setup()
    column = {"embed": "embedding", "caption": "caption"}[what]

    def once(part: str) -> None:
        frame = dd.read_parquet(folder / part, columns=["image"])
        meta = pd.DataFrame({column: pd.Series(dtype="object")})
        frame.map_partitions(component.transform, meta=meta).to_parquet(
            folder / f"made-{part}", schema=None
        )

    once("warm")
    clock = Clock()
    once("images")
    took = clock.read()
    count = len(dd.read_parquet(folder / "made-images"))
    client.close()
    return count, took


def clip_retrieval(folder: Path, model: Path, what: str) -> Result:  # noqa: ARG001 - it embeds only
    """Run clip-retrieval's inference on files; its start is taken off by a run on few of them."""
    import torch

    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from clip_retrieval.clip_inference.main import (  # type: ignore[import-not-found]
        main as clip_inference,
    )

    def once(part: str) -> tuple[float, float]:
        clock = Clock()
        clip_inference(
            input_dataset=str(folder / part),
            output_folder=str(folder / f"made-{part}"),
            input_format="files",
            enable_text=False,
            enable_image=True,
            enable_metadata=False,
            clip_model=f"hf_clip:{model}",
            use_jit=False,
            batch_size=32,
            num_prepro_workers=2,
        )
        return clock.read()

    few, many = "files-warm", "files"
    once(few)
    whole, start = once(many), once(few)
    counts = [len(list((folder / part).glob("*.jpg"))) for part in (many, few)]
    return counts[0] - counts[1], (whole[0] - start[0], whole[1] - start[1])


def _cpu_seconds() -> float:
    import resource

    import psutil

    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return (
        time.process_time()
        + ended.ru_utime
        + ended.ru_stime
        + sum(times.user + times.system for times in running)
    )


def _batches(folder: Path, size: int) -> Iterator[list[bytes]]:
    import pyarrow.parquet as pq

    for path in sorted(folder.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(size, columns=["image"]):
            yield batch.column(0).to_pylist()


PEERS = {
    "ours": ours,
    "alone": alone,
    "ours_int8": partial(ours, precision="int8"),
    "alone_int8": partial(alone, precision="int8"),
    "transformers": transformers,
    "fondant": fondant,
    "clip_retrieval": clip_retrieval,
}

if __name__ == "__main__":
    task, peer = sys.argv[1].split(":")
    done, took = PEERS[peer](Path(sys.argv[2]), Path(sys.argv[3]), task)
    print("\n" + json.dumps({"images": done, "seconds": took[0], "cpu_seconds": took[1]}))
