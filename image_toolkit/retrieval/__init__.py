"""Finding the images nearest to a vector: in an index, or from a service."""
