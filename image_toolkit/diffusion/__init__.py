"""Diffusion models: loading pipelines, LoRA files on top of them, and what they generate from."""
