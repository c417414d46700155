"""Start captioners: a model on each device, or an endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.models.captioning.asks import Ask
from image_toolkit.models.captioning.caption_stream import (
    EXTRA_COLUMNS,
    MORE_CAPTIONS,
    Captioning,
)
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.models.captioning.caption_writer import CaptionWriter
from image_toolkit.models.captioning.captioner import Captioner
from image_toolkit.models.captioning.captioner_process import side_by_side
from image_toolkit.models.captioning.checked_captioner import checked_captioner
from image_toolkit.models.captioning.drafts import Choice
from image_toolkit.models.captioning.endpoint import (
    MAX_PIXELS,
    REQUESTS,
    EndpointCaptioner,
    refuse_unsupported,
)
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.embedding.clip_score import ClipScore
from image_toolkit.models.runtime.batching import BatchSize, check_asked
from image_toolkit.models.runtime.device import Placement, devices, place
from image_toolkit.models.runtime.hub import find_model
from image_toolkit.models.runtime.preparing_processes import preparing_processes

_CPU_BATCH: Final = 16
_CPU_ROWS: Final = 64
_GROUPS_AHEAD: Final = 3
_ANSWERS_WAITING: Final = 3
"""How many answers per request slot of an endpoint may wait for a slow one before them."""


@dataclass(frozen=True)
class CaptionModels:
    """Which models caption and rank, and where they run; see the component's arguments."""

    model_id: str = "Salesforce/blip-image-captioning-base"
    revision: str | None = None
    endpoint: str | None = None
    endpoint_requests: int = REQUESTS
    endpoint_max_pixels: int = MAX_PIXELS
    prompt: str | None = None
    clip_model_id: str | None = None
    clip_revision: str | None = None
    device: str = "auto"
    precision: str = "auto"
    batch_size: int = 0

    def start(
        self,
        asks: Sequence[Ask],
        choice: Choice,
        frame: Frame,
        extras: Sequence[str],
        samples: Sequence[bytes] = (),
    ) -> Captioning:
        """Load the models.

        `samples` are a few of the images to come: on a GPU, they determine the precision.

        Raises:
            InputDataError: a model cannot be loaded.
            InvalidArgumentError: an extra column is unknown, or needs `clip_model_id`, or an
                endpoint does not support what is asked for.
        """
        self._check(asks, choice, extras)
        placements = [place(one, self.precision) for one in devices(self.device)]
        if self.endpoint is not None:
            writer = self._endpoint_writer(self.endpoint, placements[0], asks, choice, frame)
            many = [writer] * self.endpoint_requests
            waiting = _ANSWERS_WAITING * len(many)
            return Captioning(many, extras, ahead=_GROUPS_AHEAD, waiting=waiting)
        on_gpu = placements[0].is_cuda
        processes = preparing_processes(on_gpu=on_gpu)  # start up meanwhile
        try:
            writers = self._writers(placements, asks, choice, frame, samples if on_gpu else ())
        except BaseException:
            if processes is not None:
                processes.close()
            raise
        ahead = _GROUPS_AHEAD * len(writers) if on_gpu else 0
        return Captioning(writers, extras, ahead=ahead, pinned=on_gpu, processes=processes)

    def _writers(
        self,
        placements: Sequence[Placement],
        asks: Sequence[Ask],
        choice: Choice,
        frame: Frame,
        samples: Sequence[bytes],
    ) -> list[CaptionWriter]:
        captioners = self._captioners(placements, asks, samples)
        return [
            CaptionWriter(
                captioner,
                self._size(asks, captioner),
                asks,
                choice,
                frame,
                self._scorer(placement),
            )
            for captioner, placement in zip(captioners, placements, strict=False)
        ]

    def _endpoint_writer(
        self,
        endpoint: str,
        placement: Placement,
        asks: Sequence[Ask],
        choice: Choice,
        frame: Frame,
    ) -> CaptionWriter:
        """Return a writer for many threads, each with one image at a time: none waits."""
        captioner = EndpointCaptioner(
            endpoint,
            self.model_id,
            self.prompt,
            most_requests=self.endpoint_requests,
            max_pixels=self.endpoint_max_pixels,
        )
        size = BatchSize(self.batch_size or 1)
        return CaptionWriter(captioner, size, asks, choice, frame, self._scorer(placement))

    def _captioners(
        self, placements: Sequence[Placement], asks: Sequence[Ask], samples: Sequence[bytes]
    ) -> Sequence[Captioner]:
        own = [ask.generation for ask in asks]
        again = [one.stronger() for one in own if one.retry_poor]
        start = partial(_start, self, list(dict.fromkeys([*own, *again])), samples)
        return [start(placements[0])] if len(placements) == 1 else side_by_side(start, placements)

    def _check(self, asks: Sequence[Ask], choice: Choice, extras: Sequence[str]) -> None:
        check_asked(self.batch_size)
        if self.endpoint is not None:
            for ask in asks:
                refuse_unsupported(ask.generation)
        if (len(asks) > 1 or choice.keep_alt_text) and MORE_CAPTIONS not in extras:
            what = "prompts" if len(asks) > 1 else "keep_alt_text"
            msg = (
                f"{what}: further captions need a field to be in; say so: produces of this step, "
                f"{{{MORE_CAPTIONS!r}: {{'type': 'array', 'items': {{'type': 'string'}}}}}}."
            )
            raise InvalidArgumentError(msg)
        unknown = sorted(set(extras) - set(EXTRA_COLUMNS))
        if unknown:
            msg = f"produces: no field {unknown[0]!r}; there is {', '.join(EXTRA_COLUMNS)}."
            raise InvalidArgumentError(msg)
        scored = sorted({"clip_score", "caption_tokens"} & set(extras))
        ranked = any(ask.generation.candidates > 1 for ask in asks)
        if self.clip_model_id is None and (scored or ranked):
            what = scored[0] if scored else "candidates"
            msg = f"{what}: needs clip_model_id, the CLIP-like model that compares."
            raise InvalidArgumentError(msg)

    def _scorer(self, placement: Placement) -> ClipScore | None:
        if self.clip_model_id is None:
            return None
        return ClipScore(self.clip_model_id, self.clip_revision, placement)

    def _size(self, asks: Sequence[Ask], captioner: Captioner) -> BatchSize:
        if self.batch_size or captioner.batch_size:
            return BatchSize(self.batch_size or captioner.batch_size)
        # decoder rows per image
        rows = max(max(ask.generation.num_beams, ask.generation.candidates) for ask in asks)
        return BatchSize(min(_CPU_BATCH, max(1, _CPU_ROWS // rows)))


def _start(
    models: CaptionModels,
    generations: Sequence[Generation],
    samples: Sequence[bytes],
    placement: Placement,
) -> LocalCaptioner:
    """Return the captioner of a device, with a batch size that fits there."""
    files = find_model(models.model_id, models.revision)
    captioner = checked_captioner(files, models.prompt, samples, generations, placement)
    if placement.is_cuda and not models.batch_size:
        captioner.find_batch_size(generations[0])
    captioner.use.begin()
    return captioner
