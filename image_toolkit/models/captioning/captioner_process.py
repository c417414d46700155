"""Captioners in separate processes, so that several GPUs caption in parallel.

On a GPU, most captioners are limited by Python, at several milliseconds per token whatever the
batch size, and a process runs only one Python thread at a time: two captioners in threads of the
same process are no faster than one.
"""

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.managers import BaseManager, BaseProxy
from typing import Any, Final

from fondant_spec.errors import FondantError, StepFailedError
from fondant_spec.lifeline import end_with_parent
from fondant_spec.shown_text import log_to_stderr
from image_toolkit.models.captioning.captioner import Captioner
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.feed_rows import UnusableError

Start = Callable[[Placement], Captioner]
"""Loads a captioner for a placement. Sent to another process, so it must be picklable by name."""

_ENDED: Final = (EOFError, ConnectionError, FileNotFoundError)  # the last: of its socket


class CaptionerProcess:
    """A captioner that runs in its own process; see `captioner.Captioner`.

    Images are prepared in this process. Several threads may call it concurrently.
    """

    def __init__(self, start: Start, placement: Placement) -> None:
        """Load the captioner in a new process.

        Raises:
            FondantError: it cannot be loaded.
        """
        self._placement = placement
        self._there: Any = None
        self._manager = _Manager(ctx=get_context("spawn"))  # a fork would inherit the GPU's state
        self._manager.start()
        try:
            self._there = self._call(self._manager.captioner)
            about = self._call(self._there.load, start, placement)
        except BaseException:
            self.close()
            raise
        self.name, self.revision, self.precision = about.name, about.revision, about.precision
        self.prepare, self.batch_size = about.prepare, about.batch_size

    def captions(
        self,
        items: Sequence[Any],
        rows: Sequence[str],
        generation: Generation,
        prompts: Sequence[str] | None = None,
    ) -> Sequence[list[str] | UnusableError]:
        """Return the candidates for each image; an error for one that the model does not accept."""
        made: Sequence[list[str] | UnusableError] = self._call(
            self._there.captions, list(items), list(rows), generation, prompts
        )
        return made

    def close(self) -> None:
        """Close the captioner, and end its process."""
        try:
            if self._there is not None:
                self._call(self._there.close)
        except StepFailedError:
            pass  # it has ended already
        finally:
            self._manager.shutdown()

    def _call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return work(*arguments)
        except _ENDED as error:
            msg = (
                f"The process that captions on {self._placement} has ended, most likely for want "
                "of memory. Give the step more memory, or a smaller batch_size."
            )
            raise StepFailedError(msg, temporary=False) from error


def side_by_side(start: Start, placements: Sequence[Placement]) -> list[CaptionerProcess]:
    """Return a captioner for each placement, each in its own process, loaded concurrently.

    Raises:
        FondantError: one cannot be loaded.
    """
    with ThreadPoolExecutor(len(placements)) as threads:
        loading = [threads.submit(CaptionerProcess, start, one) for one in placements]
    if failed := next((error for one in loading if (error := one.exception())), None):
        for one in loading:
            if one.exception() is None:
                one.result().close()
        raise failed
    return [one.result() for one in loading]


@dataclass(frozen=True)
class _About:
    name: str
    revision: str
    precision: str
    prepare: Callable[[bytes], Any]
    batch_size: int


class _Served:
    """The captioner, in its process."""

    def __init__(self) -> None:
        self._captioner: Captioner | None = None
        log_to_stderr()
        end_with_parent()

    def load(self, start: Start, placement: Placement) -> _About:
        own = self._captioner = _noted(start, placement)
        return _About(own.name, own.revision, own.precision, own.prepare, own.batch_size)

    def captions(self, *arguments: Any) -> Any:
        assert self._captioner is not None  # noqa: S101 - load() was called
        return _noted(self._captioner.captions, *arguments)

    def close(self) -> None:
        if self._captioner is not None:
            self._captioner.close()


class _Proxy(BaseProxy):
    def load(self, *arguments: Any) -> Any:
        return self._callmethod("load", arguments)

    def captions(self, *arguments: Any) -> Any:
        return self._callmethod("captions", arguments)

    def close(self) -> None:
        self._callmethod("close")


class _Manager(BaseManager):
    captioner: Callable[[], Any]


_Manager.register("captioner", _Served, _Proxy, exposed=("load", "captions", "close"))


def _noted(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do the work; note an error's traceback in the error, and drop the traceback.

    The server keeps an error until it has served the next call, which may be the same batch in
    halves:
    by then, its tensors must be released.
    """
    try:
        return work(*arguments)
    except FondantError:
        raise
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        error.__traceback__ = None
        raise
