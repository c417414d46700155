"""Files that processes coordinate by, alike on a disk and on object stores."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest

from fondant_spec.dataset import conditional_writes, storage
from fondant_spec.errors import StorageError

WRITERS = 6


@pytest.fixture(params=["tmp_path", "s3_base", "google_base"], ids=["disk", "s3", "google"])
def url(request):
    """Return where no file is yet."""
    return f"{request.getfixturevalue(request.param)}/a folder/lock"


def side_by_side(url, work):
    """Have several writers do the same at the same time, processes on a disk; what each returns.

    On a store it is the server that decides: threads send it the requests at the same time, too.
    """
    if storage.is_remote(url):
        with ThreadPoolExecutor(WRITERS) as threads:
            return list(threads.map(work, [url] * WRITERS))
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    all_there = context.Barrier(WRITERS)
    with context.Pool(WRITERS, all_there.wait) as processes:
        return processes.map(work, [url] * WRITERS, chunksize=1)


def test_made_once_and_replaced_as_read(url):
    """Whoever holds an old version is told so, also where the text is the same as then."""
    assert conditional_writes.read(url) is None
    first = conditional_writes.create(url, "free ž\n")
    assert first
    assert conditional_writes.create(url, "mine") is None
    assert conditional_writes.read(url) == ("free ž\n", first)
    second = conditional_writes.replace(url, "taken", first)
    assert second
    assert conditional_writes.replace(url, "mine", first) is None
    third = conditional_writes.replace(url, "free ž\n", second)
    assert conditional_writes.replace(url, "mine", first) is None
    assert conditional_writes.read(url) == ("free ž\n", third)
    storage.remove(url)
    assert conditional_writes.read(url) is None
    assert conditional_writes.replace(url, "mine", third) is None
    assert conditional_writes.create(url, "") is not None
    assert conditional_writes.read(url).text == ""


def make_several(url):
    """Return for each of some files whether this writer made it."""
    return [conditional_writes.create(f"{url}{k}", "x") is not None for k in range(10)]


def test_one_of_many_makes_it(url):
    """Of several that make the same files at the same time, each file has one that made it."""
    assert [sum(made) for made in zip(*side_by_side(url, make_several), strict=True)] == [1] * 10


def count_up(url):
    """Replace what is read by the next number, until that went well a few times."""
    done = 0
    while done < 3:
        text, version = conditional_writes.read(url)
        done += conditional_writes.replace(url, str(int(text) + 1), version) is not None


def test_no_replacement_is_lost(url):
    """Several that count up one number lose no step: each replaced what it had read."""
    conditional_writes.create(url, "0")
    side_by_side(url, count_up)
    assert conditional_writes.read(url).text == str(3 * WRITERS)


def test_nothing_is_left_of_those_who_came_second(tmp_path):
    """A folder holds the version that counts and its text, also after many races."""
    url = f"{tmp_path}/lock"
    conditional_writes.create(url, "0")
    side_by_side(url, count_up)
    conditional_writes.create(url, "again")
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    assert len(list((tmp_path / "lock").iterdir())) == 2


def test_what_cannot_be_conditional_is_refused(tmp_path):
    """A storage without preconditions is no place to agree by, and says so."""
    with pytest.raises(StorageError, match="this kind of storage has no conditional writes"):
        conditional_writes.create(f"memory://{tmp_path}/lock", "")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be used \(Not a directory\)"):
        conditional_writes.create(f"{tmp_path}/file", "")
