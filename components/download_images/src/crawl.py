"""Downloading one partition: rows in, pictures out in the same order, rejects for the rest."""

import logging
import queue
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import Final

import pyarrow as pa
from candidates import Candidates
from pictures import Outcome, Picture, UrlRow, make_picture, to_batch
from reorder import Reorder
from tally import Tally

from fondant_spec.dataset.rejects import Rejects
from image_toolkit.crawl.fetcher import Fetched, Fetcher, Ticket
from image_toolkit.crawl.reply import Reply
from image_toolkit.images.rendering import Rendering

logger = logging.getLogger(__name__)

_AHEAD: Final = 4096
"""Rows in flight: enough to alternate between many hosts."""

_BATCH_BYTES: Final = 16 << 20
_BATCH_ROWS: Final = 512
_STRAGGLERS: Final = 0.05
_MOMENT: Final = 1.0


class Crawl:
    """Fetches the rows of one partition. Not thread-safe; `run` may be called once."""

    def __init__(
        self,
        candidates: Candidates,
        fetcher: Fetcher,
        decoders: Executor,
        rendering: Rendering,
        rejects: Rejects,
        tally: Tally,
        *,
        straggler_timeout: float,
        second_pass: bool,
    ) -> None:
        self._candidates = candidates
        self._fetcher = fetcher
        self._decoders = decoders
        self._rendering = rendering
        self._rejects = rejects
        self._tally = tally
        self._straggler_timeout = straggler_timeout
        self._may_try_again = second_pass
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._under_way: dict[int, Ticket | None] = {}
        self._failed: dict[int, Outcome] = {}
        self._earlier: dict[int, Outcome] = {}
        self._rows = 0
        self._deadline = 0.0

    def run(self, rows: Iterable[UrlRow]) -> Iterator[pa.RecordBatch]:
        """Yield the pictures of the rows, in row order."""
        with Reorder() as reorder:
            try:
                for pictures in _in_batches(self._pictures(rows, reorder)):
                    yield to_batch(pictures)
            finally:
                self._cancel()

    def _pictures(self, rows: Iterable[UrlRow], reorder: Reorder) -> Iterator[Picture]:
        for row in rows:
            self._rows += 1
            yield from self._offer(row, reorder)
            while len(self._under_way) >= _AHEAD or not self._outcomes.empty():
                yield from self._settle(self._outcomes.get(), reorder)
        yield from self._drain(reorder)
        if self._failed:
            yield from self._second_pass(reorder)
        self._tally.count_seeds(self._candidates.missing())

    def _second_pass(self, reorder: Reorder) -> Iterator[Picture]:
        """Retry temporary failures, now that some time has passed."""
        self._earlier, self._failed, self._may_try_again = self._failed, {}, False
        for _, outcome in sorted(self._earlier.items()):  # in rank order, not in order of failure
            yield from self._offer(outcome.row, reorder)
        yield from self._drain(reorder)

    def _drain(self, reorder: Reorder) -> Iterator[Picture]:
        """Wait for what is in flight; for the last ones only a limited time."""
        few = max(1.0, self._rows * _STRAGGLERS)
        while len(self._under_way) > few:
            yield from self._settle(self._outcomes.get(), reorder)
        self._put_off_deadline()
        while self._under_way:
            left = self._deadline - time.monotonic()
            if left <= 0:
                self._cancel()  # each of them now returns as a straggler
            with suppress(queue.Empty):
                outcome = self._outcomes.get(timeout=max(left, _MOMENT))
                yield from self._settle(outcome, reorder)

    def _offer(self, row: UrlRow, reorder: Reorder) -> Iterator[Picture]:
        self._candidates.add(row)
        yield from self._take_turns(row, reorder)

    def _take_turns(self, row: UrlRow, reorder: Reorder) -> Iterator[Picture]:
        """Fetch the due rows of a row's seed, and leave out those it does not need."""
        for due in self._candidates.due(row):
            self._submit(due)
        for spare in self._candidates.not_needed(row):
            if spare.position in self._earlier:
                yield from self._reject(self._earlier.pop(spare.position), reorder)
            else:
                self._rejects.filter(spare.id, "not_needed", f"seed {spare.seed_id} has its images")
                yield from reorder.put(spare.position, None)

    def _put_off_deadline(self) -> None:
        self._deadline = time.monotonic() + self._straggler_timeout

    def _submit(self, row: UrlRow) -> None:
        self._put_off_deadline()
        self._under_way[row.position] = self._fetcher.submit(row.url, partial(self._take, row))

    def _take(self, row: UrlRow, fetched: Fetched) -> None:
        """Pass a reply on to a decoder. Called on the fetching thread."""
        if fetched.reply is not None:
            self._decoders.submit(self._decode, row, fetched.reply, fetched.attempts)
        elif fetched.error is not None:
            self._outcomes.put(Outcome.of_error(row, fetched.error, fetched.attempts))

    def _decode(self, row: UrlRow, reply: Reply, attempts: int) -> None:
        """Decode a reply to a picture. Called on a decoding thread."""
        try:
            outcome = make_picture(row, reply, attempts, self._rendering)
        except Exception as defect:
            logger.exception("%s", reply.url.text)
            outcome = Outcome(row, attempts, reason="defect", message=repr(defect))
        finally:
            self._fetcher.release(len(reply.body))
        self._outcomes.put(outcome)

    def _settle(self, outcome: Outcome, reorder: Reorder) -> Iterator[Picture]:
        """Keep a picture, postpone a temporary failure, or reject the row."""
        if outcome.reason == "closed":
            msg = "the connection pool was closed while a partition was under way"
            raise RuntimeError(msg)
        position = outcome.row.position
        del self._under_way[position]
        self._candidates.settle(outcome.row, image=outcome.picture is not None)
        if outcome.picture is not None:
            self._tally.count(outcome)
            yield from reorder.put(position, outcome.picture)
        elif outcome.passing and self._may_try_again:
            self._failed[position] = outcome
        else:
            yield from self._reject(outcome, reorder)
        yield from self._take_turns(outcome.row, reorder)

    def _reject(self, outcome: Outcome, reorder: Reorder) -> Iterator[Picture]:
        self._tally.count(outcome)
        row = outcome.row
        if outcome.filtered:
            self._rejects.filter(row.id, outcome.reason, outcome.message)
        else:
            earlier = self._earlier.get(row.position)
            attempts = outcome.attempts + (earlier.attempts if earlier else 0)
            self._rejects.add(row.id, outcome.reason, outcome.message, attempts)
        yield from reorder.put(row.position, None)

    def _cancel(self) -> None:
        for ticket in self._under_way.values():
            if ticket is not None:
                self._fetcher.cancel(ticket)


def _in_batches(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Yield pictures in lists bounded in rows and bytes."""
    batch: list[Picture] = []
    size = 0
    for picture in pictures:
        batch.append(picture)
        size += len(picture.rendered.data)
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_ROWS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
