"""Searching an index on disk, and turning its hits into rows."""
