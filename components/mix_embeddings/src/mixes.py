"""Weighted sums of the vectors of seeds."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InputDataError, did_you_mean

ALL: Final = "*"
"""The name of the mix whose seeds are added to every mix."""

_NOTHING: Final = 1e-4
"""A sum of unit vectors of at most this length has no meaningful direction."""

Seed = dict[str, Any]


def mixed(seeds: pa.Table, rejects: Rejects) -> pa.Table:
    """Return one row for each mix in `seeds`, in place of its first seed with a positive weight.

    The others are filtered, naming the row that represents them.

    Raises:
        InputDataError: a mix has no seed of its own with a positive weight, its vectors cancel
            out, or a weight is not finite.
    """
    rows = seeds.to_pylist()
    of_all = [row for row in rows if row["mix"] == ALL]
    groups: dict[str, list[Seed]] = {}
    for row in rows:
        if row["mix"] != ALL:
            name = row["id"] if row["mix"] is None else f"mix {row['mix']}"
            groups.setdefault(name, []).append(row)
    if of_all and not groups:
        msg = f"mix_embeddings: mix {ALL!r} is part of every mix, but there is no other seed."
        raise InputDataError(msg)
    kept = [_mix([*members, *of_all], groups, rejects) for members in groups.values()]
    for row in of_all:
        rejects.filter(row["id"], "mixed", "part of every mix")
    order = {row["id"]: number for number, row in enumerate(rows)}
    return pa.Table.from_pylist(sorted(kept, key=lambda row: order[row["id"]]), seeds.schema)


def _mix(members: Sequence[Seed], groups: dict[str, list[Seed]], rejects: Rejects) -> Seed:
    weights = np.array([row["mixed_weights"][0] for row in members], np.float32)
    own = [row for row in members if row["mix"] != ALL]
    towards = next((row for row in own if row["mixed_weights"][0] > 0), None)
    name = own[0]["mix"]
    what = f"mix {name!r}" if name else f"seed {own[0]['seed_id']}"
    if not np.isfinite(weights).all():
        msg = f"mix_embeddings: {what} has a weight that is no number; give a number to each seed."
        raise InputDataError(msg)
    if towards is None:
        others = [row[0]["mix"] for row in groups.values() if row[0]["mix"] not in (None, name)]
        hint = did_you_mean(name or "", others)
        msg = (
            f"mix_embeddings: {what} has no seed of a weight above 0{hint} {ALL!r} is in every mix."
        )
        raise InputDataError(msg)
    total = weights @ np.array([row["embedding"] for row in members], np.float32)
    length = np.linalg.norm(total)
    if length <= _NOTHING * np.abs(weights).sum():
        shown = ", ".join(f"{weight:g}" for weight in weights)
        msg = (
            f"mix_embeddings: the vectors of {what} sum to nothing by their weights ({shown}); "
            "change one of them."
        )
        raise InputDataError(msg)
    for row in own:
        if row is not towards:
            rejects.filter(row["id"], "mixed", f"part of {what}, for which {towards['id']} stands")
    return {
        **towards,
        "embedding": (total / length).tolist(),
        "mixed_ids": [row["seed_id"] for row in members],
        "mixed_weights": weights.tolist(),
    }
