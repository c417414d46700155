"""Searching an index on disk, and what becomes of its hits."""
