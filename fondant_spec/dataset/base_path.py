"""Checking a base path before it is used."""

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress

from fondant_spec.dataset import conditional_writes, storage
from fondant_spec.errors import MissingBucketError, StorageError

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS")


def check_writable(base_path: str) -> None:
    """Check that a base path is writable; a local folder is created.

    A bucket must exist. An object store must also reject a write whose precondition fails, since
    concurrent runs rely on that.

    Raises:
        StorageError: it is not writable; the message says what to do.
    """
    probe = storage.join(base_path, f".write-test-{uuid.uuid4().hex}")
    fs, path = storage.filesystem(base_path)
    try:
        if not hasattr(fs, "check_bucket"):
            storage.write_text(probe, "")
            storage.remove(probe)
            return
        fs.check_bucket(path.partition("/")[0])
        _check_preconditions(base_path, probe)
    except OSError as error:
        msg = (
            f"BASE_PATH {base_path} is not writable ({error.strerror or error}); choose another "
            "one, or give the user that runs the step write access."
        )
        raise StorageError(msg) from None


def doubts_from_afar(base_path: str) -> Iterator[str]:
    """Yield the problems that this machine sees with a base path that others will use.

    They will use it with their own keys, so it is checked only where this machine has keys, too.

    Raises:
        MissingBucketError: the bucket does not exist for anyone.
    """
    if not any(map(os.environ.get, _KEYS)):
        return
    try:
        fs, path = storage.filesystem(base_path)
        if not hasattr(fs, "check_bucket"):
            return
        fs.check_bucket(path.partition("/")[0])
    except MissingBucketError:
        raise
    except StorageError as error:
        yield f"BASE_PATH cannot be seen from here: {error}"


def _check_preconditions(base_path: str, probe: str) -> None:
    try:
        conditional_writes.create(probe, "")
        if conditional_writes.create(probe, "") is not None:
            msg = (
                f"BASE_PATH {base_path}: this store ignores preconditions (If-None-Match), by "
                "which runs keep apart; use one that knows them."
            )
            raise StorageError(msg)
    finally:
        with suppress(OSError, StorageError):
            storage.remove(probe)
