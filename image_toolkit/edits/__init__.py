"""People's corrections of a dataset: an append-only overlay stored beside it.

`edit` is one edit, `journal` stores them, `cells` merges them, `replay` adds the step that applies
them, and `texts` reads corrections from caption files.
"""
