"""Indexes on the Hugging Face hub: named, and fetched to this machine."""
