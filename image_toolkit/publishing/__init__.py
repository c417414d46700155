"""Folders of files that steps write for others, whole or not at all, and never over another's."""
