"""Faster layers for the GPU."""
