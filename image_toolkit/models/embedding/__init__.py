"""Models that embed images and texts as vectors: CLIP from transformers or open_clip."""
