"""Layers that make models fast on a CPU."""
