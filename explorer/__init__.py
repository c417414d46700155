"""The explorer: a local web interface for inspecting a pipeline's results and correcting them.

`app` maps addresses to the `pages`; `site` holds what all pages share; `tables` loads datasets into
DuckDB, and `views` turns an address into SQL. `editing` writes corrections, which a later
`apply_edits` step applies. `report` renders the one-page report. `command` adds `fondant-spec
explore`.
"""
