"""Models that say what an image shows."""
