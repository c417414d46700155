"""A one-page report on a dataset, without a server: steps, sizes, scores, captions, origins."""
