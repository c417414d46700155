"""Captions decoded here: memory of a fixed size, a step a token, on a GPU in CUDA graphs."""
