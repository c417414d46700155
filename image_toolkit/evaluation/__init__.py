"""Comparing sets of images by their vectors: pure functions, deterministic for a seed."""
