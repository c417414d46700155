"""Diffusion models: load text-to-image pipelines from safetensors, with LoRA files on top."""
