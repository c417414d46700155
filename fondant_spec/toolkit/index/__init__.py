"""Retrieval: the nearest images to a vector, from a service, a FAISS index or the vectors alone."""
