"""A person's corrections of a dataset: an overlay beside it, that only grows."""
