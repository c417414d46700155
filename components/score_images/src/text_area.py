"""The share of an image that is covered by text: captions, watermarks, logos, screenshots."""

import logging
from threading import Lock
from typing import Any, Final

import cv2
import numpy as np
from pixel_measures import Picture, Pixels
from rapidocr import RapidOCR

from fondant_spec.cpu import cpu_count

_FEWEST_LETTERS: Final = 2
_SIDE: Final = 736  # pixels of the longer side, for text detection


class TextArea:
    """Finds text with PP-OCR, whose weights come with rapidocr.

    Its detections are also read, since it takes the rim of a cup for a letter; only boxes with two
    or more readable letters count.
    """

    def __init__(self) -> None:
        logging.getLogger("RapidOCR").setLevel(logging.ERROR)  # it warns about images without text
        settings = {
            "Global.use_cls": False,
            "Global.log_level": "error",
            "Det.limit_type": "max",
            "Det.limit_side_len": _SIDE,
            "EngineConfig.onnxruntime.intra_op_num_threads": cpu_count(),
        }
        self._find = RapidOCR(params=settings)
        self._lock = Lock()  # a single run uses all cores

    def measure(self, picture: Picture) -> float:
        """Return the share of the image's pixels that are in text boxes, from 0 to 1."""
        pixels: Pixels = picture.pixels
        with self._lock:
            found: Any = self._find(pixels[:, :, ::-1], use_det=True, use_cls=False, use_rec=True)
        covered = np.zeros(pixels.shape[:2], np.uint8)
        boxes = [] if found.boxes is None else found.boxes
        for box, text in zip(boxes, found.txts or (), strict=False):
            if sum(letter.isalnum() for letter in text) >= _FEWEST_LETTERS:
                cv2.fillPoly(covered, [np.asarray(box, np.int32)], 1)
        return float(covered.mean())
