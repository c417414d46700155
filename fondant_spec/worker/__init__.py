"""Running one component over its partitions, inside the process or container of a step.

`run_step` is the entry point. `base_components` defines the base classes of components,
`run_partition` transforms a partition and leaves a checkpoint, and `commit` checks all checkpoints
and writes the manifest.
"""
