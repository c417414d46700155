"""Groups of near-duplicates and which of them are kept, checked against the rule on random data."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from image_toolkit.copies.groups import group_rows
from image_toolkit.copies.likeness import Likeness

ROWS = 8


@st.composite
def likenesses(draw: st.DrawFn) -> list[Likeness]:
    """Return some likenesses of a few rows, their keys and their pairs at random."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, ROWS))
        values = draw(st.lists(st.integers(-1, count - 1), min_size=ROWS, max_size=ROWS))
        _, keys = np.unique([value for value in values if value >= 0], return_inverse=True)
        numbers = iter(keys.tolist())
        keys = np.array([next(numbers) if value >= 0 else -1 for value in values])
        most = int(keys.max()) + 1
        ends = st.integers(0, max(most - 1, 0))
        pairs = {(a, b) for a, b in draw(st.lists(st.tuples(ends, ends), max_size=4)) if a < b}
        found.append(Likeness(keys[:, None], np.array(sorted(pairs), np.int64).reshape(-1, 2)))
    return found


@given(likenesses(), st.permutations(range(ROWS)))
@settings(max_examples=300, deadline=None)
def test_who_stays(some, order):
    """No two that stay are alike, and who goes is like the better one that stays for it."""
    groups = group_rows(some, ROWS, np.array(order))
    alike = np.eye(ROWS, dtype=bool)
    for likeness in some:
        for row in range(ROWS):
            alike[row, likeness.like(row)] = True
    assert (alike == alike.T).all()
    stays = groups.stands_for == np.arange(ROWS)
    assert (alike[np.ix_(stays, stays)] == np.eye(stays.sum(), dtype=bool)).all()
    for row, keeper in enumerate(groups.stands_for):
        assert alike[row, keeper]
        assert stays[keeper]
        assert order.index(keeper) <= order.index(row)
        assert (groups.by[row] == -1) == (keeper == row)
    reach = np.linalg.matrix_power(alike.astype(int), ROWS) > 0
    assert (groups.group == reach.argmax(axis=1)).all()
    assert (groups.size == reach.sum(axis=1)).all()
