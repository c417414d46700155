"""Indexes on the Hugging Face hub: resolving their names, and downloading them."""
