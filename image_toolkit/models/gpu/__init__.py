"""What makes models fast on a GPU."""
