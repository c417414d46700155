"""What makes the whole pipeline run offline: photographs, a collection, tiny models, a host."""
