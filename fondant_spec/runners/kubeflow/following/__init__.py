"""Following a run on a host, and telling its user how it goes, why it failed, and how it ended."""
