"""Measures whether the memory of download_images stays flat over many hosts.

    python benchmarks/many_hosts.py [--urls 200000] [--hosts 20000] [--json]

Downloads small JPEGs from hosts with names of their own, all of which are one local host; only the
name resolution is replaced. Each host is asked for its robots.txt once and for an image ten times;
a tenth of them never answer correctly. First a tenth of the URLs and hosts, then all of them, each
in a process of its own: `peak_ratio` is the peak memory of the second divided by that of the first.
Needs `pip install psutil`.
"""

import argparse
import io
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.download import host
from benchmarks.peak_memory import Watch
from fondant_spec.testing import write_dataset
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.run_step import run

ROOT = Path(__file__).parents[1]

_SIDE = 288
_PHOTOS = 64


def write_photos(folder: Path) -> None:
    """Write small JPEGs of noise that survives compression."""
    chance = random.Random(0)  # noqa: S311 - the same images each time
    for number in range(_PHOTOS):
        rough = Image.frombytes("RGB", (16, 16), chance.randbytes(16 * 16 * 3))
        made = io.BytesIO()
        rough.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(made, "JPEG", quality=90)
        (folder / f"{number:05}.jpg").write_bytes(made.getvalue())


def urls_of(port: str, urls: int, hosts: int) -> list[str]:
    """Return URLs in an order in which all hosts recur again and again."""
    bad = hosts // 10

    def url(number: int) -> str:
        at = number % hosts
        fault = "broken/" if at < bad else ""
        return f"http://host-{at}.test:{port}/{fault}{number}.jpg"

    return [url(number) for number in range(urls)]


def step(port: str, urls: int, hosts: int) -> None:
    """Download in this process, as under a runner; print the number of rows."""
    found = socket.getaddrinfo

    def look_up(name: Any, *arguments: Any, **named: Any) -> Sequence[Any]:
        known = "127.0.0.1" if str(name).endswith(".test") else name
        return found(known, *arguments, **named)

    socket.getaddrinfo = look_up  # type: ignore[assignment]
    component = component_class(ROOT / "components" / "download_images")
    with tempfile.TemporaryDirectory() as base:
        table = pa.table({"image_url": urls_of(port, urls, hosts)})
        dataset = write_dataset(table, Path(base), rows_per_partition=2000)
        words = ["--base_path", base, "--input_manifest_path", dataset.location]
        words += ["--allow_private_hosts", "true", "--allowed_ports", "[]"]
        words += ["--requests_per_second_per_host", "0.0", "--retries", "0"]
        words += ["--max_reject_share", "1.0"]
        manifest = run(component, words)
        assert manifest is not None
        print(json.dumps({"rows": manifest.rows, "rejects": manifest.rejects}))


def measured(port: str, urls: int, hosts: int) -> dict[str, Any]:
    """Return the result and cost of a download in a process of its own."""
    words = [sys.executable, __file__, "--step", port, "--urls", str(urls), "--hosts", str(hosts)]
    start = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - this program
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    watch = Watch(process.pid)
    output = process.communicate()[0]
    peak = watch.stop()
    if process.returncode:
        message = f"the download of {urls} URLs ended with {process.returncode}"
        raise RuntimeError(message)
    told = json.loads(output.splitlines()[-1])
    return {"urls": urls, "hosts": hosts, "seconds": time.perf_counter() - start, "mb": peak} | told


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--urls", type=int, default=200_000)
    parser.add_argument("--hosts", type=int, default=20_000)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    if options.step:
        step(options.step, options.urls, options.hosts)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder))
        with host(0, Path(folder)) as base:
            port = base.rpartition(":")[2]
            few = measured(port, options.urls // 10, options.hosts // 10)
            print(few)
            many = measured(port, options.urls, options.hosts)
            print(many)
    if options.json:
        print(json.dumps({"peak_ratio": many["mb"] / few["mb"], "few": few, "many": many}))


if __name__ == "__main__":
    main()
