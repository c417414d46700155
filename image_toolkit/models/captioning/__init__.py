"""Captioning: with models in this process (`local_captioner`), or over HTTP (`endpoint`)."""
