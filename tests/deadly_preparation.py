"""Image preparation that kills its process on some files, as a defect in a decoder would."""

import os
import signal
import time
from pathlib import Path

from image_toolkit.models.runtime.preparation import PixelPreparation
from image_toolkit.models.runtime.resizing import Pixels


class Deadly(PixelPreparation):
    """Ends, stops, or never ends where a file says so; "once:NAME" as long as NAME is no file."""

    def __call__(self, data: bytes) -> Pixels:
        """Prepare an image, or not."""
        word, _, rest = data.partition(b"\n")
        if word.startswith(b"once:"):
            flag, data = Path(word[5:].decode()), rest
            if not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        if word == b"kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == b"stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if word == b"sleep":
            time.sleep(600)
        if word == b"defect":
            raise ZeroDivisionError
        return super().__call__(data)
