"""The explorer: looking at what a pipeline wrote, in a browser, and correcting it."""
