"""What the tests of training share."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Have torch add up in one thread: another number of them rounds otherwise, to the last bit."""
    torch.set_num_threads(1)
