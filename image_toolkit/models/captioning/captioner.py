"""The interface of captioners: a model in this process, in another one, or behind an endpoint."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.runtime.feed_rows import UnusableError


class Captioner(Protocol):
    """Describes prepared images.

    `batch_size` is the fastest batch size, if it was measured, or 0.
    """

    name: str
    revision: str
    precision: str
    batch_size: int

    def close(self) -> None:
        """Release its processes or connections."""

    @property
    def prepare(self) -> Callable[[bytes], Any]:
        """A thread-safe function that prepares an item from an image's bytes."""

    def captions(
        self,
        items: Sequence[Any],
        rows: Sequence[str],
        generation: Generation,
        prompts: Sequence[str] | None = None,
    ) -> Sequence[list[str] | UnusableError]:
        """Return the candidates for each item; `rows` are the ids that seed sampling.

        `prompts` has one per item; by default, it is the captioner's own.
        """
