"""Fondant-style components, manifests and pipelines for image-caption datasets."""

__version__ = "0.1.0"
