"""Work spread over devices comes back in order."""

import threading

import pytest

from image_toolkit.models.runtime.spread import delayed, spread


def test_one_worker_stays_in_this_thread():
    """With one device there is no thread between the caller and the model."""
    done = list(spread([lambda _: threading.current_thread()], iter([1, 2])))
    assert [given for given, _ in done] == [1, 2]
    assert {thread for _, thread in done} == {threading.current_thread()}


def test_two_workers_share_and_keep_order():
    """Two devices work at the same time, and results come in the order of their inputs."""
    both = threading.Barrier(2, timeout=30)

    def worker(name):
        def work(given):
            if given < 2:
                both.wait()  # only passes when both devices have one of the first two
            return name, given

        return work

    done = list(spread([worker("a"), worker("b")], iter(range(7))))
    assert [given for given, _ in done] == list(range(7))
    assert {name for _, (name, _) in done} == {"a", "b"}


def test_an_error_reaches_the_caller():
    """A device that fails ends the step; it is not skipped."""

    def fails(_):
        msg = "device"
        raise OSError(msg)

    with pytest.raises(OSError, match="device"):
        list(spread([fails, fails], iter([1])))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_results_are_read_when_others_are_under_way(count):
    """A result comes when so many more are drawn, the last ones at the end, all in order."""
    drawn = []
    inputs = (drawn.append(number) or number for number in range(4))
    read = [(result, len(drawn)) for result in delayed(inputs, count)]
    assert read == [(number, min(number + 1 + count, 4)) for number in range(4)]
