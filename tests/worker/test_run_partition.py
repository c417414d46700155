"""Rows are counted once their outcome is known."""

import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects
from fondant_spec.worker.run_partition import Settled


def test_rows_settle_as_they_are_returned_or_rejected():
    """A batch that was taken is not done: some of its rows may still be on their way."""
    reported, rejects = [], Rejects()
    settled = Settled(lambda rows, rejected, _: reported.append((rows, rejected)), 6, rejects)

    def returned():
        rejects.add("a", "bad")
        yield pa.record_batch({"id": ["b", "c"]})
        rejects.add("d", "bad")
        rejects.add("e", "bad")
        yield pa.record_batch({"id": ["f"]})

    list(settled.as_returned(returned()))
    settled.close()
    assert reported == [(3, 1), (3, 2), (0, 0)]


def test_rows_that_a_filter_drops_settle_at_the_end():
    """What is neither returned nor rejected is known once all rows are through."""
    reported = []
    settled = Settled(lambda rows, rejected, _: reported.append((rows, rejected)), 5, Rejects())
    list(settled.as_returned([pa.record_batch({"id": ["a", "b"]})]))
    settled.close()
    assert reported == [(2, 0), (3, 0)]
