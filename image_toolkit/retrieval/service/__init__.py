"""The HTTP protocol of clip-retrieval: client and server."""
