"""What describes images: a model that runs here, in a process of its own, or behind an endpoint."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.runtime.feed_rows import UnusableError


class Captioner(Protocol):
    """Describes prepared images.

    `batch_size` is how many it captions fastest at a time, as far as that was tried, or 0.
    """

    name: str
    revision: str
    precision: str
    batch_size: int

    def close(self) -> None:
        """Let go of what it holds beside itself: processes, connections."""

    @property
    def prepare(self) -> Callable[[bytes], Any]:
        """Makes one prepared item of an image's bytes; called in many threads at once."""

    def captions(
        self,
        items: Sequence[Any],
        rows: Sequence[str],
        generation: Generation,
        prompts: Sequence[str] | None = None,
    ) -> Sequence[list[str] | UnusableError]:
        """Return the candidates for each item; `rows` are the ids that sampling is seeded by.

        `prompts` has one for each item; without them it is the captioner's own.
        """
