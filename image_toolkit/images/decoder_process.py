"""A process that decodes for another, so that an image that takes too long can be stopped.

    python -P -m image_toolkit.images.decoder_process FD

FD is its end of a socket pair. It serves one request after another, and exits when the other end is
closed. Each image gets a limited amount of CPU time; then the kernel kills this process, which no
decoder can delay. The kernel limits its memory as well.
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
"""Seconds of CPU time by what is wanted; 64 megapixels take about 2."""

MEMORY_BYTES: Final = 1536 << 20
"""Memory on top of the program itself; a 10-bit AVIF of 64 megapixels takes 1 GB."""

READY: Final = b"ready"


def main() -> None:
    """Serve requests until there are no more."""
    connection = Connection(int(sys.argv[1]))
    _prepare()
    with contextlib.suppress(EOFError, ConnectionError):  # the other end is gone
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
    """Return what was asked for: a header, pixels with their shape, or whether a file loads."""
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
    """Leave interrupts to the parent, and set the limits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    # Pillow's and pi-heif's own threads take memory, and the CPU time of all threads counts.
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
