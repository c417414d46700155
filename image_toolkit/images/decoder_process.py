"""A process that decodes for another one, so that an image that takes too long can be ended.

    python -P -m image_toolkit.images.decoder_process FD

FD is its end of a socket. It is asked for one image after the other, and ends with whoever asks.
Each image gets so much of the processor's time, after which the kernel ends this process: nothing
that a decoder is at can put that off. Memory is bounded by the kernel as well.
"""

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import AvifImagePlugin

from image_toolkit.images.image_errors import NotAnImageError, failed
from image_toolkit.images.image_header import FORMATS, ImageHeader, read_header
from image_toolkit.images.pixel_decoding import decode, loads
from image_toolkit.images.structure import structure_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEADLINES_S: Final = {"header": 1.0, "pixels": 4.0, "check": 4.0}
"""Seconds of the processor's time, by what is wanted: 64 megapixels take about 2."""

MEMORY_BYTES: Final = 1536 << 20
"""What may be taken beside the program itself: an AVIF of 64 megapixels and 10 bits takes 1 GB."""

READY: Final = b"ready"


def main() -> None:
    """Answer requests until there are no more."""
    connection = Connection(int(sys.argv[1]))
    _prepare()
    with contextlib.suppress(EOFError, ConnectionError):  # whoever asked is gone
        connection.send_bytes(READY)
        while True:
            _serve(connection)


def _serve(connection: Connection) -> None:
    request, data = json.loads(connection.recv_bytes()), connection.recv_bytes()
    signal.setitimer(signal.ITIMER_PROF, DEADLINES_S[request["wanted"]])
    answer, pixels = _answer(request, data)
    signal.setitimer(signal.ITIMER_PROF, 0)
    connection.send_bytes(json.dumps(answer).encode())
    if pixels is not None:
        connection.send_bytes(np.ascontiguousarray(pixels).data.cast("B"))


def _answer(
    request: Mapping[str, Any], data: bytes
) -> tuple[dict[str, Any], "NDArray[np.uint8] | None"]:
    """Return what is asked for: a header, pixels with their shape, or whether a file loads."""
    try:
        if request["wanted"] == "header":
            header = read_header(data, structure_of(data), request["max_pixels"])
            return {"header": asdict(header)}, None
        if request["wanted"] == "check":
            return {"loads": loads(data)}, None
        pixels = decode(ImageHeader(**request["header"]), data, **request["options"])
    except Exception as error:  # noqa: BLE001 - hostile bytes raise nearly anything
        problem: NotAnImageError = failed("image", error)
        return {"reason": problem.reason, "message": problem.message}, None
    return {"shape": pixels.shape}, pixels


def _prepare() -> None:
    """Leave interruptions to the one who asks, and set the bounds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    # Threads of its own are memory, and the time of all of them counts.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    if "HEIF" in FORMATS:
        with contextlib.suppress(ImportError):
            import_module("pi_heif").options.DECODE_THREADS = 1
    statm = Path("/proc/self/statm")
    if statm.exists():
        taken = int(statm.read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES, taken + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
