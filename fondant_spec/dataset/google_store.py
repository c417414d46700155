"""Google Cloud Storage on top of gcsfs, with what a base path needs in addition: see `stores`."""

import asyncio
from typing import Any

from aiohttp import ClientError as BrokenTransfer
from fsspec.asyn import sync_wrapper
from gcsfs import GCSFileSystem
from gcsfs.retry import HttpError
from google.auth.exceptions import GoogleAuthError

from fondant_spec.dataset.stores import FIRST_ANSWER_SECONDS, NO_BUCKET, ObjectNames
from fondant_spec.errors import MissingBucketError, StorageError

_NO_ANSWER = (BrokenTransfer, asyncio.TimeoutError, ConnectionError)
_REFUSED = {401, 403}


class GoogleStore(ObjectNames, GCSFileSystem):  # type: ignore[misc] # has no annotations
    """Google Cloud Storage; gcsfs tries a request up to six times, 1 to 16 seconds apart."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        keywords.setdefault("use_listings_cache", False)  # other processes write, too
        super().__init__(*args, **keywords)
        self._answered = False

    async def _call(self, method: str, path: str, *more: Any, **keywords: Any) -> Any:
        limit = None if self._answered else FIRST_ANSWER_SECONDS
        try:
            answer = await asyncio.wait_for(super()._call(method, path, *more, **keywords), limit)
        except Exception as error:
            sentence = _sentence(error, self._location)
            if sentence is None:
                self._answered = True
                raise
            bucket = f"gs://{more[0]}" if more else "gs://"
            msg = f"{bucket}: {sentence}"
            raise StorageError(msg) from error
        self._answered = True
        return answer

    call = sync_wrapper(_call)

    def check_bucket(self, bucket: str) -> None:
        """Check that a bucket exists, as far as these credentials allow.

        Raises:
            StorageError: it does not exist, or the store cannot be reached.
        """
        try:
            self.call("GET", "b/{}/o", bucket, maxResults=1, json_out=True)
        except FileNotFoundError:
            msg = f"gs://{bucket}: {NO_BUCKET}"
            raise MissingBucketError(msg) from None

    def abort_uploads(self, path: str) -> None:
        """Do nothing: the store itself discards unfinished uploads after a week."""


def _sentence(error: Exception, address: str) -> str | None:
    """Return a message for what a user can fix; None for what callers handle, such as no file."""
    refused = getattr(error, "code", None) in _REFUSED or str(error).startswith("Forbidden")
    if refused or isinstance(error, GoogleAuthError):
        return (
            "access is refused; is GOOGLE_APPLICATION_CREDENTIALS (or the machine's role) right, "
            "and may it read and write here?"
        )
    if isinstance(error, _NO_ANSWER):
        return f"{address} does not answer; is this machine online, and the store up?"
    if isinstance(error, HttpError):
        return f"{address} gave up ({error}); try again later."
    return None
