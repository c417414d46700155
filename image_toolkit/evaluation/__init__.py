"""How sets of images compare, by their vectors: pure functions, the same each time for a seed."""
