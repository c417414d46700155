"""Processes that prepare images for another one, to spare it the CPU time and the Python lock.

    python -P -m image_toolkit.models.runtime.preparing_process FD

FD is its end of a socket pair. The program does its slow imports once, and forks for each requested
process; it is single-threaded. When the other end is closed, it kills its children, whatever they
are doing, since nobody else would read their results, and exits.

Only the pixels of cheap images are prepared here. Other images are left to the parent, which has a
single memory budget for them, and decoders that can be killed.
"""

import json
import mmap
import os
import pickle
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import numpy as np
import torch

from image_toolkit.images.decoder_process import DEADLINES_S
from image_toolkit.images.decoding import TooHeavyError, decode_light_images_only
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.resizing import Pixels

LIGHT_BYTES: Final = 128 << 20
"""The most memory for decoding one image here: a PNG of 6 megapixels, or any cheap JPEG.

There are as many of these processes as cores: with more, they would exhaust the machine's
memory."""

LEFT: Final = "left"
"""The answer for an image that is not prepared here."""

NONE: Final = -1
"""The process id returned if none could be started."""

MOST_SENT: Final = 1 << 17
"""Bytes of a request or an answer."""

_MOST_BATCHES: Final = 8
_LONGEST_MESSAGE: Final = 500

Answer = None | str | tuple[str, str]
"""For an image: None if it is prepared, `LEFT`, or an error as reason and message."""


Job = tuple[int, Sequence[tuple[int, int]]]
"""An image: the size of its file in bytes, and its places: batch number and place in the batch."""

Request = tuple[Sequence[Job], Sequence[bytes]]
"""Images whose files are stored back to back; and the preparation of each batch, pickled.

The descriptors of the batches' memory are sent along, in the same order."""


def main() -> None:
    """Start and kill processes on request, until the other end is closed."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, and closes this
    torch.set_num_threads(1)
    decode_light_images_only(LIGHT_BYTES)
    children = set[int]()
    try:
        while True:
            message, files, _, _ = socket.recv_fds(control, MOST_SENT, 2)
            if files:
                child = _fork(control, *files)
                if child != NONE:
                    children.add(child)
                control.send(str(child).encode())
            elif message:
                _end(int(message), children)
            else:
                return
    except ConnectionError:
        return
    except OSError:  # most likely the process limit
        traceback.print_exc()
    finally:
        for child in [*children]:
            _end(child, children)
        sys.stderr.flush()
        os._exit(0)  # tearing down torch takes seconds


def _end(child: int, children: set[int]) -> None:
    """Kill a process; its id cannot be reused before it is waited for."""
    if child in children:
        children.remove(child)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _fork(control: socket.socket, theirs: int, inbox: int) -> int:
    try:
        child = os.fork()
    except OSError:  # the others go on
        traceback.print_exc()
        child = NONE
    if not child:
        status = 1
        try:
            control.close()
            _serve(socket.socket(fileno=theirs), inbox)
            status = 0
        except BaseException:  # noqa: BLE001 - it must not return into the parent's code
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(theirs)
    os.close(inbox)
    return child


def _serve(asked: socket.socket, inbox: int) -> None:
    with suppress(ConnectionError):  # the parent is gone
        while True:
            message, files, _, _ = socket.recv_fds(asked, MOST_SENT, _MOST_BATCHES)
            if not message:
                return
            asked.send(_answer(pickle.loads(message), inbox, files))  # noqa: S301 - our own


def _answer(request: Request, inbox: int, files: Sequence[int]) -> bytes:
    """Return, as JSON, one answer per image, or a traceback if the error is not about one image."""
    jobs, pickled = request
    try:
        preparations = [pickle.loads(one) for one in pickled]  # noqa: S301 - our own
        batches = [*map(_mapped, files, preparations)]
        answers, start = list[Answer](), 0
        for size, places in jobs:
            data = os.pread(inbox, size, start)
            answers.append(_prepared(data, places, preparations, batches))
            start += size
    except Exception:  # noqa: BLE001 - it is raised in the parent
        return json.dumps({"defect": traceback.format_exc()[-MOST_SENT // 16 :]}).encode()
    return json.dumps({"answers": answers}).encode()


def _mapped(file: int, preparation: PixelPreparation) -> Pixels:
    memory = mmap.mmap(file, 0)
    os.close(file)
    image = int(np.prod(preparation.shape))
    count = len(memory) // image
    return np.frombuffer(memory, np.uint8, count * image).reshape(count, *preparation.shape)


def _prepared(
    data: bytes,
    places: Sequence[tuple[int, int]],
    preparations: Sequence[PixelPreparation],
    batches: Sequence[Pixels],
) -> Answer:
    """Prepare an image within a decoder's time limit; the kernel kills what takes longer."""
    signal.setitimer(signal.ITIMER_PROF, DEADLINES_S["pixels"])
    try:
        for batch, place in places:
            batches[batch][place] = preparations[batch](data)
    except TooHeavyError:
        return LEFT
    except NotAnImageError as error:
        return error.reason, error.message[:_LONGEST_MESSAGE]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


if __name__ == "__main__":
    main()
