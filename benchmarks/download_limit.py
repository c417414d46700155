"""The least that a download can be: fetch by libcurl, then the codecs, nothing else.

Two processes, no checks, no hashes, no order, nothing written. What a downloader that does check,
hash and write can at best come close to.
"""

import asyncio
import io
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from typing import Any, Final

import cv2
import numpy as np
import pycurl
import simplejpeg

from image_toolkit.crawl.multi import Multi

PROCESSES: Final = 2
CONNECTIONS: Final = 64


def least(
    urls: Sequence[str], *, resize: bool, size: int, quality: int, timeout: int
) -> tuple[int, float]:
    """Return how many images were made, and the seconds from the first URL to the last image."""
    shares = [
        Share(urls[number::PROCESSES], size if resize else None, quality, timeout)
        for number in range(PROCESSES)
    ]
    context = get_context("spawn")
    ready = context.Barrier(PROCESSES + 1)
    with context.Pool(PROCESSES, _begin, [ready]) as pool:
        ready.wait()  # all have imported what they need
        start = time.perf_counter()
        counts = pool.map(Share.done, shares)
    return sum(counts), time.perf_counter() - start


def _begin(ready: Barrier) -> None:
    cv2.setNumThreads(1)
    ready.wait()


@dataclass(frozen=True)
class Share:
    """The URLs of one process, and what it makes of them: squares of `size`, or headers read."""

    urls: Sequence[str]
    size: int | None
    quality: int
    timeout: int

    def done(self) -> int:
        """Fetch and encode, and return the number of images."""
        return asyncio.run(self._fetched())

    async def _fetched(self) -> int:
        """Fetch over many connections, while a thread is at the codecs."""
        multi, left = Multi(), iter(self.urls)
        with ThreadPoolExecutor(1) as codecs:
            several = [self._fetch(left, multi, codecs) for _ in range(CONNECTIONS)]
            return sum(await asyncio.gather(*several))

    async def _fetch(self, left: Iterator[str], multi: Multi, codecs: ThreadPoolExecutor) -> int:
        """Take one URL after the other as long as there are any; return the number of images."""
        loop, made = asyncio.get_running_loop(), 0
        for url in left:
            body = io.BytesIO()
            handle = pycurl.Curl()
            handle.setopt(pycurl.URL, url)
            handle.setopt(pycurl.WRITEFUNCTION, body.write)
            handle.setopt(pycurl.TIMEOUT, self.timeout)
            try:
                await multi.perform(handle)
            except pycurl.error:
                continue
            made += await loop.run_in_executor(codecs, self._made, body.getvalue())
        return made

    def _made(self, body: bytes) -> bool:
        """Make an image of what was fetched; return whether that went well."""
        try:
            if self.size is None:
                return bool(simplejpeg.decode_jpeg_header(body)[0])
            pixels: Any = simplejpeg.decode_jpeg(body)
        except ValueError:
            return False
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = pixels[top : top + side, left : left + side]
        resized = cv2.resize(square, (self.size,) * 2, interpolation=cv2.INTER_CUBIC)
        made = simplejpeg.encode_jpeg(
            np.ascontiguousarray(resized), quality=self.quality, colorsubsampling="420"
        )
        return len(made) > 0
