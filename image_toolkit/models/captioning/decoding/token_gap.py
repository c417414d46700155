"""How far the tokens of one decoder are from those of another."""

from collections.abc import Sequence

import torch


def largest_gap(ours: torch.Tensor, theirs: torch.Tensor, scores: Sequence[torch.Tensor]) -> float:
    """Return how far our tokens are from the likeliest ones, in standard deviations of the scores.

    What counts in each row is the first token that differs from theirs: from then on both are right
    about other texts. `scores` are those of their tokens, one (rows, vocabulary) for each step.
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
