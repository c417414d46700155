"""Datasets on disk: paths and storage, manifests, partitions, rejects, lineage and validation.

`layout` says where files are, `storage` reads and writes them atomically, `manifest` describes a
committed dataset, `partitions` reads its rows, and `cache_key` identifies its content. Both halves
of the framework, describing a pipeline and running a step, import this package.
"""
