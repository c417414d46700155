"""The API for component authors: base classes, and the ids of loaded rows.

Import from here; the implementation is in `fondant_spec.worker`.
"""

from fondant_spec.dataset.partitions import row_id
from fondant_spec.worker.base_components import (
    ArrowTransformComponent,
    Component,
    GatherComponent,
    LoadComponent,
    RowContext,
    SetupContext,
    StreamTransformComponent,
    WriteComponent,
)
from fondant_spec.worker.pandas_component import PandasTransformComponent

__all__ = [
    "ArrowTransformComponent",
    "Component",
    "GatherComponent",
    "LoadComponent",
    "PandasTransformComponent",
    "RowContext",
    "SetupContext",
    "StreamTransformComponent",
    "WriteComponent",
    "row_id",
]
