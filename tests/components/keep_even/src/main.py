"""Keep the rows with an even number."""

import pandas as pd

from fondant_spec.component import PandasTransformComponent, RowContext
from fondant_spec.executor import execute


class KeepEven(PandasTransformComponent):
    """Filters, and says nothing about the rows it leaves out."""

    def transform(self, frame: pd.DataFrame, context: RowContext) -> pd.DataFrame:
        """Return the even ones."""
        return frame[frame["number"] % 2 == 0]


if __name__ == "__main__":
    execute(KeepEven)
