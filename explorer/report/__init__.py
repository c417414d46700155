"""What a dataset is like, on one page without a server: steps, sizes, scores, captions, origins."""
