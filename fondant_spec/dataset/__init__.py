"""What lies on disk: where, how it is read and written, and what is known of it."""
