"""Synthetic vectors for which all measures are known."""

import numpy as np

DIMENSION = 16


def blobs(counts, seed=0, spread=0.15):
    """Return vectors around axes of their own, so many around each, and the names of these."""
    generator = np.random.default_rng(seed)
    names = [name for name, count in counts.items() for _ in range(count)]
    middles = {name: np.eye(DIMENSION)[int(name[-1])] for name in counts}
    made = [middles[name] + spread * generator.standard_normal(DIMENSION) for name in names]
    return np.array(made, np.float32), names
