"""People's corrections of a dataset: an append-only overlay stored beside it.

`edit` is one edit, `journal` stores them, `cells` merges them, `replay` adds the step that applies
them, and `corrected_captions` takes over what people changed in caption files.
"""
