import pytest

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.spec.bounds import NO_BOUNDS, Bounds


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        (NO_BOUNDS, ""),
        (Bounds(minimum=1, maximum=100), "from 1 to 100"),
        (Bounds(minimum=0), "at least 0"),
        (Bounds(maximum=64_000_000), "at most 64000000"),
        (Bounds(exclusive_minimum=0), "above 0"),
        (Bounds(exclusive_minimum=0, maximum=1), "above 0 and at most 1"),
        (Bounds(minimum=0, exclusive_maximum=1), "at least 0 and below 1"),
        (Bounds(pattern="https?://.+"), "a text of the form https?://.+"),
    ],
)
def test_bounds_in_words(bounds, words):
    """Bounds read as a part of a sentence."""
    assert bounds.describe() == words


@pytest.mark.parametrize(
    ("bounds", "allowed", "refused"),
    [
        (Bounds(minimum=1), [1, 1.0, 9], [0, -1, 0.99]),
        (Bounds(maximum=1), [1, -5], [1.01]),
        (Bounds(exclusive_minimum=0), [1e-9], [0, -1]),
        (Bounds(exclusive_maximum=1), [0.999], [1, 2]),
        (Bounds(pattern="cpu|cuda(:[0-9]+)?"), ["cpu", "cuda:12"], ["cpus", "cuda:", "", "cpu\n"]),
        (Bounds(minimum=1, maximum=9), [[], [1, 9]], [[1, 10], ["5"], [True], [None]]),
        (Bounds(pattern="a+"), [["a", "aa"]], [["a", "b"], [1]]),
    ],
)
def test_what_is_in_bounds(bounds, allowed, refused):
    """Inclusive bounds include their number, patterns match the whole text, lists item by item."""
    for value in allowed:
        bounds.check("x", value)
    for value in refused:
        with pytest.raises(InvalidArgumentError):
            bounds.check("x", value)


def test_the_item_that_is_wrong_is_named():
    """Of a list, the message has the first item that is out of bounds."""
    with pytest.raises(InvalidArgumentError) as caught:
        Bounds(minimum=1, maximum=65535).check("allowed_ports", [80, 0, -1])
    assert str(caught.value) == (
        "every item of argument 'allowed_ports' must be from 1 to 65535, not 0."
    )
