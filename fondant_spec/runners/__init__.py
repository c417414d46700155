"""Places where a plan can be executed."""
