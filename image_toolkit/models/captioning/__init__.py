"""Captioning: models in this process (`captioners`), or behind an HTTP endpoint (`endpoint`)."""
