"""Measures how much of a caption server's capacity is used.

    python benchmarks/endpoint.py [--rows 600] [--slots 32] [--json]

The server has a number of slots, like one that batches. An answer takes a fixed delay, plus the
time of its 20 to 60 tokens at a fixed rate, and occupies a slot for that long; requests that find
no free slot wait. The server's capacity is therefore known: the number of slots divided by the mean
time of an answer. `server_share` is the rate of caption_images, including reading, scaling and
sending the images, divided by this capacity; `waves_share` is that of eight requests at a time,
each wave starting when the last is done. Images are photographs of 1.2 megapixels.
"""

# ruff: noqa: S603 - the program is this one
import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import requests
from aiohttp import web
from PIL import Image
from skimage import data

sys.path.insert(0, str(Path(__file__).parents[1]))

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.models.captioning.asks import Ask
from image_toolkit.models.captioning.caption_models import CaptionModels
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.models.captioning.drafts import Choice
from image_toolkit.models.captioning.endpoint_images import EndpointImages
from image_toolkit.models.captioning.generation import Generation

DELAY, TOKENS_A_SECOND = 0.4, 50.0  # of every answer
FEWEST, MOST = 20, 60  # tokens
WAVE = 8


def seconds_of(number: int) -> float:
    """Return how long the n-th answer takes, in seconds."""
    tokens = FEWEST + number * 7919 % (MOST - FEWEST + 1)
    return DELAY + tokens / TOKENS_A_SECOND


def serve(slots: int, port: int) -> None:
    """Serve until stopped."""
    free = asyncio.Semaphore(slots)
    asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked
        await request.read()
        asked += 1
        number = asked
        async with free:
            await asyncio.sleep(seconds_of(number))
        choice = {"message": {"content": f"photo number {number}"}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]})

    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/v1/chat/completions", answer)
    web.run_app(app, host="127.0.0.1", port=port, print=lambda *_: print("ready", flush=True))


@contextmanager
def serving(slots: int, port: int) -> Iterator[str]:
    """Run the server in a process of its own."""
    words = [sys.executable, __file__, "--serve", "--slots", str(slots), "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        server.stdout.readline()
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def photographs(count: int) -> list[bytes]:
    """Return JPEGs of 1.2 megapixels, cycling through ten of them."""
    whole = Image.fromarray(data.astronaut())
    files = []
    for number in range(10):
        file = io.BytesIO()
        crop = whole.crop((number, number, 400 + number, 300 + number))
        crop.resize((1280, 960)).save(file, "JPEG", quality=88)
        files.append(file.getvalue())
    return [files[number % len(files)] for number in range(count)]


def whole_step(url: str, images: list[bytes], at_once: int) -> float:
    """Return the images per second of the step's own captioning."""
    models = CaptionModels(model_id="any", endpoint=url, endpoint_requests=at_once)
    captioning = models.start([Ask(Generation())], Choice(), Frame(), [])
    rejects = Rejects()
    ids = [f"{number:06d}" for number in range(len(images))]
    batch = pa.record_batch({"id": ids, "image": pa.array(images, pa.binary())})
    began = time.perf_counter()
    rows = sum(len(made) for made in captioning.batches(iter([batch]), rejects))
    seconds = time.perf_counter() - began
    captioning.close()
    assert rows == len(images), rejects.counts
    return rows / seconds


def waves(url: str, images: list[bytes]) -> float:
    """Return the images per second of eight requests at a time, in waves."""
    prepare = EndpointImages(1024 * 1024)
    session = requests.Session()

    def ask(image: bytes) -> None:
        content = [{"type": "image_url", "image_url": {"url": prepare(image)}}]
        body = {"model": "any", "messages": [{"role": "user", "content": content}]}
        session.post(f"{url}/chat/completions", json=body, timeout=60).raise_for_status()

    began = time.perf_counter()
    with ThreadPoolExecutor(WAVE) as pool:
        for start in range(0, len(images), WAVE):
            list(pool.map(ask, images[start : start + WAVE]))
    return len(images) / (time.perf_counter() - began)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--port", type=int, default=8771)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.slots, options.port)
        return
    images = photographs(options.rows)
    mean = sum(map(seconds_of, range(1, options.rows + 1))) / options.rows
    limit = options.slots / mean
    with serving(options.slots, options.port) as url:
        rate = whole_step(url, images, 2 * options.slots)
        in_waves = waves(url, images[: max(WAVE, options.rows // 6)])
    found = {
        "server_limit": round(limit, 1),
        "images_a_second": round(rate, 1),
        "server_share": round(rate / limit, 3),
        "waves_share": round(in_waves / limit, 3),
        "cores": os.cpu_count(),
    }
    for name, value in found.items():
        print(f"{name:>16}: {value}")
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
