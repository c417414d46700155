"""What components share: decoding images, loading models, fetching URLs, searching vectors."""
