"""Building an index from vectors or from images, and checking it."""
