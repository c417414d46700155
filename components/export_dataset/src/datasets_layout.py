"""What layouts share that `datasets` opens: there is a column for everything, in each split."""

from collections.abc import Iterator
from pathlib import Path

import datasets
from columns import Columns
from layout import Layout
from masks import MASK
from read_pairs import ReadPair
from training_pairs import SPLITS

from image_toolkit.training.row_repeats import REPEATS


class DatasetsLayout(Layout):
    """A layout without a trainer of its own: whoever loads it sees all captions, masks and tags."""

    read_by_datasets = True
    takes_several = True
    masked_splits = SPLITS

    columns: Columns
    """The columns of the pairs."""

    def loading(self) -> str:
        """Return how to load a folder whose README tells the rest, in Markdown."""
        return f"""\
```python
from datasets import load_dataset

dataset = load_dataset({self.shown_place!r}, split="train")
```
"""

    def rows_read(self, split: str, rows: datasets.Dataset) -> Iterator[ReadPair]:
        """Yield the pairs of a split that has the file of each image in the column `image`."""
        for row in rows.cast_column("image", datasets.Image(decode=False)):
            image = datasets.Image().decode_example(row["image"])
            stem, captions = Path(row["image"]["path"]).stem, self.columns.captions(row)
            yield ReadPair(split, stem, captions, image, row.get(MASK), row.get(REPEATS, 1))
