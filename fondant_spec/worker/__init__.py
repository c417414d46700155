"""What runs inside the process or container of a step."""
