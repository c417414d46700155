"""From similar rows to groups: connected components, and which row represents which others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from image_toolkit.copies.likeness import NO_KEY, IntArray, Likeness


@dataclass(frozen=True)
class Groups:
    """Rows in groups.

    Attributes:
        group: the first row of each row's group: rows connected directly or through others.
        size: the number of rows in each row's group.
        stands_for: the row that is kept for each row: itself, or one that is like it.
        by: the number of the likeness between the two; -1 if the row itself is kept.
    """

    group: IntArray
    size: IntArray
    stands_for: IntArray
    by: IntArray


def group_rows(likenesses: Sequence[Likeness], rows: int, best_first: IntArray) -> Groups:
    """Group so many rows: those that are alike in any respect.

    `best_first` lists the rows that may be kept. The best row of a group is kept, and replaces the
    rows that are like it, but not those that are only like these: of a chain A~B~C whose ends are
    not alike, A and C are kept.
    """
    group = _connected(likenesses, rows)
    size = np.bincount(group, minlength=len(group))[group]
    stands_for = np.arange(len(group))
    by = np.full(len(group), -1)
    taken = size == 1
    for row in best_first[~taken[best_first]]:
        if not taken[row]:
            taken[row] = True
            for number, likeness in enumerate(likenesses):
                alike = likeness.like(row)
                alike = alike[~taken[alike]]
                stands_for[alike] = row
                by[alike] = number
                taken[alike] = True
    return Groups(group, size, stands_for, by)


def _connected(likenesses: Sequence[Likeness], rows: int) -> IntArray:
    """Return, for each row, the first row of its connected component."""
    nodes = rows
    ones, others = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for likeness in likenesses:
        known, column = np.nonzero(likeness.keys != NO_KEY)
        ones += [known, nodes + likeness.pairs[:, 0]]
        others += [nodes + likeness.keys[known, column], nodes + likeness.pairs[:, 1]]
        nodes += likeness.key_count
    edges = np.concatenate(ones), np.concatenate(others)
    links = coo_array((np.ones(len(edges[0]), np.bool_), edges), shape=(nodes, nodes))
    _, labels = connected_components(links, directed=False)
    _, first, inverse = np.unique(labels[:rows], return_index=True, return_inverse=True)
    group: IntArray = first[inverse]
    return group
