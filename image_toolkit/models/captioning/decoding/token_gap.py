"""Compare the tokens of two decoders."""

from collections.abc import Sequence

import torch


def largest_gap(ours: torch.Tensor, theirs: torch.Tensor, scores: Sequence[torch.Tensor]) -> float:
    """Return how far our tokens are from the likeliest ones, in standard deviations of the scores.

    Only the first differing token in each row counts: after it, both decoders continue different
    texts. `scores` are those of their tokens, one (rows, vocabulary) per step.
    """
    prompt = theirs.shape[1] - len(scores)
    gaps = [0.0]
    for row, (own, other) in enumerate(zip(ours.tolist(), theirs.tolist(), strict=True)):
        for values, token, likeliest in zip(scores, own[prompt:], other[prompt:], strict=False):
            if token != likeliest:
                possible = values[row][values[row].isfinite()]
                gaps.append(float((values[row].max() - values[row][token]) / possible.std()))
                break
    return max(gaps)
