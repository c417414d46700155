"""What a component is made of: its base classes, and the ids of the rows that it loads.

This is where a component's author imports from; the code is in `fondant_spec.worker`.
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
