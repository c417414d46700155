"""Output folders for others: written completely or not at all, and never over foreign files."""
