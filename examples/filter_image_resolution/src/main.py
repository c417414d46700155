"""Keep images that are large enough to train on, and not too long and thin."""

import pandas as pd

from fondant_spec.component import PandasTransformComponent, RowContext
from fondant_spec.executor import execute


class FilterImageResolution(PandasTransformComponent):
    """Looks at widths and heights only: the images themselves are not even read."""

    def __init__(self, *, min_side: int = 512, max_aspect_ratio: float = 2.5) -> None:
        self.min_side = min_side
        self.max_aspect_ratio = max_aspect_ratio

    def transform(self, frame: pd.DataFrame, context: RowContext) -> pd.DataFrame:
        """Return the rows to keep; the executor records the others as filtered."""
        shorter, longer = frame.min(axis="columns", skipna=False), frame.max(axis="columns")
        large, compact = shorter >= self.min_side, longer <= shorter * self.max_aspect_ratio
        for row_id in frame.index[~large]:
            context.rejects.filter(row_id, "too_small", f"shorter side {shorter[row_id]}")
        for row_id in frame.index[large & ~compact]:
            context.rejects.filter(row_id, "too_long", f"{longer[row_id]} by {shorter[row_id]}")
        return frame[large & compact]


if __name__ == "__main__":
    execute(FilterImageResolution)
