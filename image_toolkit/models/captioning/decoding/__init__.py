"""Decoding for BLIP and Florence-2: a fixed-size cache, one step per token, CUDA graphs."""
