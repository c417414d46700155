"""Following a run on a host: its progress, why it failed, and how it ended."""
