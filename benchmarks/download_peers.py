"""One contestant of `download.py`, in its own environment: a list of URLs to images on disk.

    python benchmarks/download_peers.py NAME URLS.json FOLDER MODE

Prints one line of JSON: how many images, and the seconds from the call to the last file written,
without imports.
"""

# ruff: noqa: PLC0415 - each peer has its own packages, and its imports are not timed
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

TIMEOUT = 5
SIZE = 512
QUALITY = 95
PROCESSES = 2
Result = tuple[int, float]


def ours_decoded(urls: list[str], folder: Path, mode: str) -> Result:
    """Run the component as it comes: it decodes, hashes and checks images that it keeps as well."""
    return ours(urls, folder, mode, decode_kept=True)


def ours(urls: list[str], folder: Path, mode: str, *, decode_kept: bool = False) -> Result:
    """Run the component as a runner does: argv in, Parquet and a manifest out.

    Images that stay as they are it does not decode here: img2dataset does not either.
    """
    import pyarrow as pa

    from fondant_spec.testing import write_dataset
    from fondant_spec.worker.component_code import component_class
    from fondant_spec.worker.run_step import run

    component = component_class(Path(__file__).parents[1] / "components" / "download_images")
    base = folder / "base"
    table = pa.table({"image_url": urls})
    dataset = write_dataset(table, base, rows_per_partition=1000)
    arguments = {
        "base_path": str(base),
        "input_manifest_path": dataset.location,
        "resize_mode": mode,
        "resize_only_if_bigger": "false",
        "image_size": SIZE,
        "quality": QUALITY,
        "decode_kept": str(decode_kept).lower(),
        "min_image_size": 0,
        "max_aspect_ratio": 100.0,
        "timeout": TIMEOUT,
        "retries": 0,
        "n_connections": 128,
        "connections_per_host": 128,  # all images are on one host here
        "requests_per_second_per_host": 0.0,
        "failures_per_host": 1_000_000,
        "allow_private_hosts": "true",
        "allowed_ports": "[]",
    }
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    start = time.perf_counter()
    manifest = run(component, words)
    assert manifest is not None
    return manifest.rows, time.perf_counter() - start


def img2dataset(urls: list[str], folder: Path, mode: str) -> Result:
    """Run img2dataset: two processes, Parquet; with no resize it keeps the bytes unread."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    download = import_module("img2dataset").download

    pq.write_table(pa.table({"url": urls}), folder / "urls.parquet")
    start = time.perf_counter()
    download(
        url_list=str(folder / "urls.parquet"),
        input_format="parquet",
        output_folder=str(folder / "out"),
        output_format="parquet",
        processes_count=PROCESSES,
        thread_count=64,
        number_sample_per_shard=max(1, min(1000, len(urls) // 4)),
        image_size=SIZE,
        resize_mode=mode,
        disable_all_reencoding=mode == "no",
        encode_quality=QUALITY,
        timeout=TIMEOUT,
        retries=0,
    )
    seconds = time.perf_counter() - start
    files = [pq.read_table(f, columns=["status"]) for f in (folder / "out").glob("*.parquet")]
    return sum(t.column("status").to_pylist().count("success") for t in files), seconds


def fondant(urls: list[str], folder: Path, mode: str) -> Result:
    """Run Fondant's component as its executor does: partitions on a local Dask cluster."""
    checkout = Path(json.loads((folder / "fondant.json").read_text()))
    sys.path.insert(0, str(checkout / "src/fondant/components/download_images/src"))
    import dask
    import pandas as pd
    import pyarrow as pa
    from dask.distributed import Client, LocalCluster

    dask.config.set({"dataframe.convert-string": False})  # as Fondant's executor does
    component = import_module("main").DownloadImagesComponent(
        timeout=TIMEOUT,
        retries=0,
        n_connections=64,
        image_size=SIZE,
        resize_mode=mode,
        resize_only_if_bigger=False,
        min_image_size=0,
        max_aspect_ratio=100.0,
    )
    frame = pd.DataFrame({"image_url": urls}, index=[str(number) for number in range(len(urls))])
    frame.index.name = "id"
    meta = pd.DataFrame(columns=["image", "image_width", "image_height"], index=frame.index[:0])
    types = {
        "id": pa.string(),
        "image": pa.binary(),
        "image_width": pa.int32(),
        "image_height": pa.int32(),
    }
    with LocalCluster(n_workers=PROCESSES, threads_per_worker=1) as cluster, Client(cluster):
        start = time.perf_counter()
        partitions: Any = import_module("dask.dataframe").from_pandas(
            frame, npartitions=2 * PROCESSES
        )
        images = partitions.map_partitions(component.transform, meta=meta)
        images.to_parquet(folder / "out", schema=types)
        seconds = time.perf_counter() - start
    return len(pd.read_parquet(folder / "out", columns=["image_width"])), seconds


def requests_threads(urls: list[str], folder: Path, mode: str) -> Result:
    """Run what one writes in a quarter of an hour: requests, 64 threads, OpenCV, Parquet."""
    import cv2
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import requests

    cv2.setNumThreads(1)
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))

    def image_of(url: str) -> bytes | None:
        try:
            reply = session.get(url, timeout=TIMEOUT)
            reply.raise_for_status()
        except requests.RequestException:
            return None
        pixels = cv2.imdecode(np.frombuffer(reply.content, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            return None
        if mode == "no":
            return reply.content
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = pixels[top : top + side, left : left + side]
        method = cv2.INTER_AREA if side > SIZE else cv2.INTER_LANCZOS4
        resized = cv2.resize(square, (SIZE, SIZE), interpolation=method)
        return cv2.imencode(".jpg", resized, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()

    start = time.perf_counter()
    with ThreadPoolExecutor(64) as threads:
        images = [image for image in threads.map(image_of, urls) if image is not None]
    pq.write_table(pa.table({"image": images}), folder / "out.parquet")
    return len(images), time.perf_counter() - start


def limit(urls: list[str], _folder: Path, mode: str) -> Result:
    """Run the least that the work can be: see `download_limit.py`."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from benchmarks.download_limit import least

    return least(urls, resize=mode != "no", size=SIZE, quality=QUALITY, timeout=TIMEOUT)


CONTESTANTS: dict[str, Callable[[list[str], Path, str], Result]] = {
    "ours": ours,
    "ours_decoded": ours_decoded,
    "img2dataset": img2dataset,
    "fondant": fondant,
    "requests": requests_threads,
    "limit": limit,
}


def main(name: str, urls_file: str, folder: str, mode: str) -> None:
    """Run one contestant and print what it did."""
    urls: Any = json.loads(Path(urls_file).read_text())
    images, seconds = CONTESTANTS[name](urls, Path(folder), mode)
    print(json.dumps({"images": images, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
