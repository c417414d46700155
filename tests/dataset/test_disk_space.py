"""Disk space: how much steps leave free, and their errors when there is none."""

import errno
import os
import re
import subprocess

import pytest

from fondant_spec.dataset import disk_space
from fondant_spec.dataset.disk_space import check_space, full_disk_told
from fondant_spec.errors import StorageError
from tests.small import command, dataset


def test_too_little_room(tmp_path, enter, monkeypatch):
    """A step ends with a sentence before the disk is full, and goes on when there is room."""
    source = dataset(tmp_path, 2, number=[1, 2, 3, 4])
    monkeypatch.setattr(disk_space, "MOST_LEFT", 1 << 60)
    monkeypatch.setattr(disk_space, "SHARE_LEFT", 1.0)
    with pytest.raises(StorageError) as caught:
        enter("double", source)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/pipeline/double/")
    assert message.endswith(
        "must stay so. Make room (`fondant-spec gc` removes old results) or choose another "
        "BASE_PATH, and run again; what is finished is kept."
    )
    monkeypatch.undo()
    assert enter("double", source).rows == 4
    check_space("s3://of/no/disk")
    check_space(str(tmp_path / "not" / "there"))


def test_a_full_disk_that_came_by_surprise():
    """What the system says of a full disk becomes a sentence; other errors stay what they are."""
    with (
        pytest.raises(StorageError, match=r"^/x: the disk is full \(No space left on device\)\. M"),
        full_disk_told("/folder"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x")
    with pytest.raises(PermissionError), full_disk_told("/folder"):
        raise PermissionError(errno.EACCES, "no")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_small_disk(tmp_path):
    """On a disk that really fills up a step ends with 1 and a sentence, and then goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        images = [os.urandom(400_000) for _ in range(6)]
        source = dataset(tmp_path, 2, image=images)
        argv = command("flip", disk, "--input_manifest_path", source.location, "--workers", "1")
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        assert "what is finished is kept." in done.stderr.splitlines()[-1]
        subprocess.run(["mount", "-o", "remount,size=9m", str(disk)], check=True)
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert "rows done, in" in done.stderr
        out = str(disk / "not" / "there")
        told = rf"^{re.escape(out)}: the disk is full .* or write elsewhere, and run again; "
        with (
            pytest.raises(StorageError, match=told),
            full_disk_told("s3://of/no/disk", str(tmp_path), out),
            (disk / "more").open("wb") as file,
        ):
            file.write(os.urandom(9_000_000))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
