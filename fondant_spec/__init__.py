"""Fondant-style components, manifests and pipelines for image-caption datasets.

A component is a folder with a YAML spec, code and an image; a pipeline chains components as steps.
Steps exchange Parquet through JSON manifests and are cached by content. The package has two halves,
which share only the data on disk:

- `pipeline` and `runners` describe a pipeline and run its plan: here, in Docker or on Kubeflow.
- `worker` runs one component over its partitions, in the process or container of a step.

Both build on `spec` (what a component declares), `dataset` (what is on disk) and `errors`. `hub`
publishes exports, and `cli` is the `fondant-spec` command. Component authors import from
`component`, `executor` and `testing`; docs/architecture.md describes the whole.
"""

__version__ = "0.1.0"
