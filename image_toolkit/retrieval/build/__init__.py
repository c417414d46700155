"""Making an index of vectors or of images, and checking it."""
