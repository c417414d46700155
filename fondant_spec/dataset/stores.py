"""Object stores on top of s3fs, with what a base path needs in addition; gcsfs: `google_store`.

- A folder is no object, so none is created; neither is a bucket: a missing one is an error.
- A path is literal, never a pattern: brackets and stars are ordinary characters.
- What a user can fix is a `StorageError` of one sentence: missing or refused credentials, a bucket
  that does not exist, a wrong endpoint, an unavailable store. The first answer of a store must
  arrive within `FIRST_ANSWER_SECONDS`, including retries.
- A request is tried up to `TRIES` times, with pauses of 0.1 to 1.4 seconds, if a retry may help:
  500, 502, 503, 504, SlowDown, a reset, a timeout, a truncated body.

`fsspec` uses these classes for `s3://` and `gs://` once `storage` is imported. Credentials come
from the environment (variables, the profile they name, the machine's role), never from arguments.
"""

import asyncio
import logging
from typing import Any, Final

from aiohttp import ClientError as BrokenTransfer
from botocore import exceptions as boto
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem
from s3fs.core import set_custom_error_handler

from fondant_spec.errors import MissingBucketError, StorageError

TRIES: Final = 7
CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 60
FIRST_ANSWER_SECONDS: Final = 6

NO_BUCKET: Final = "there is no such bucket; correct its name, or make it first."

_PASSING = {"500", "502", "503", "504", "InternalError", "ServiceUnavailable", "SlowDown"}
_REFUSED = {"401", "403", "AccessDenied", "ExpiredToken", "InvalidToken"}
_REFUSED |= {"InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"}
_UNUSABLE = {"301", "307", "400", "405", "501", "InvalidBucketName", "PermanentRedirect"}
_NO_KEYS = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)
_BROKEN = (boto.ConnectionError, boto.HTTPClientError, BrokenTransfer, ConnectionError)
_NO_ANSWER = (*_BROKEN, asyncio.TimeoutError)

# They log each request and each retry; what matters is raised as an error.
for _library in ("botocore", "aiobotocore", "s3fs", "gcsfs", "google.auth", "fsspec"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)


class ObjectNames:
    """Mixin for an fsspec file system: names are literal, and folders only parts of names."""

    takes_names_literally = True

    async def _expand_path(
        self,
        path: str | list[str],
        recursive: bool = False,  # noqa: FBT001, FBT002 - fsspec's own signature
        maxdepth: int | None = None,
        assume_literal: bool = True,  # noqa: ARG002, FBT001, FBT002
    ) -> list[str]:
        """Return the given paths, and with `recursive` everything below them."""
        paths = [path] if isinstance(path, str) else path
        expanded: list[str] = await super()._expand_path(  # type: ignore[misc]
            paths, recursive, maxdepth, assume_literal=True
        )
        return expanded

    async def _mkdir(self, path: str, *_more: Any, **_keywords: Any) -> None:
        """Do nothing: folders are parts of names, and buckets are created by people."""

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002
        """Do nothing, likewise."""

    mkdir = sync_wrapper(_mkdir)
    makedirs = sync_wrapper(_makedirs)


class S3Store(ObjectNames, S3FileSystem):  # type: ignore[misc] # has no annotations
    """S3 and compatible stores."""

    retries = TRIES
    default_block_size = 16 << 20  # a writer's buffer; a file has at most 10,000 of them

    def __init__(
        self, *args: Any, config_kwargs: dict[str, Any] | None = None, **keywords: Any
    ) -> None:
        config = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"total_max_attempts": 1},  # s3fs retries, also a truncated body
            **(config_kwargs or {}),
        }
        keywords.setdefault("use_listings_cache", False)  # other processes write, too
        super().__init__(*args, config_kwargs=config, **keywords)
        self._answered = False

    async def _call_s3(self, method: str, *more: Any, **keywords: Any) -> Any:
        limit = None if self._answered else FIRST_ANSWER_SECONDS
        try:
            await self.set_session()  # slow once, and not the store's time
            answer = await asyncio.wait_for(super()._call_s3(method, *more, **keywords), limit)
        except Exception as error:
            self._answered = self._answered or bool(_code(error))
            sentence = _sentence(error, self._address())
            if sentence is None:
                raise
            msg = f"s3://{keywords.get('Bucket', '')}: {sentence}"
            raise StorageError(msg) from error
        self._answered = True
        return answer

    call_s3 = sync_wrapper(_call_s3)

    def check_bucket(self, bucket: str) -> None:
        """Check that a bucket exists, as far as these credentials allow.

        Raises:
            StorageError: it does not exist, or the store cannot be reached.
        """
        try:
            self.call_s3("head_bucket", Bucket=bucket)
        except FileNotFoundError:
            msg = f"s3://{bucket}: {NO_BUCKET}"
            raise MissingBucketError(msg) from None

    def abort_uploads(self, path: str) -> None:
        """Abort unfinished uploads below a path."""
        bucket, key, _ = self.split_path(path)
        begun = self.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/")
        for upload in begun.get("Uploads", ()):
            place = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
            self.call_s3("abort_multipart_upload", **place)

    def _address(self) -> str:
        return str(self._s3.meta.endpoint_url) if self._s3 else "its endpoint"


def _code(error: BaseException) -> str:
    """Return S3's error code; empty if the store gave none."""
    for one in (error, error.__cause__):
        answer: dict[str, Any] = getattr(one, "response", None) or {}
        if code := answer.get("Error", {}).get("Code"):
            return str(code)
    return ""


def _may_pass(error: BaseException) -> bool:
    """Return whether a retry may help, for errors that s3fs does not retry already."""
    return _code(error) in _PASSING or isinstance(error, _BROKEN)


set_custom_error_handler(_may_pass)


def _sentence(error: Exception, address: str) -> str | None:
    """Return a message for what a user can fix; None for what callers handle, such as no file."""
    code = _code(error)
    sentences = {
        "no credentials are in the environment; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "or AWS_PROFILE.": isinstance(error, _NO_KEYS),
        NO_BUCKET: code == "NoSuchBucket",
        f"{address} refuses access ({code}); are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
        "right, and may they read and write here?": code in _REFUSED,
        f"{address} is too busy ({code}), also after {TRIES} tries; try again later.": (
            code in _PASSING
        ),
        f"{address} does not answer; is AWS_ENDPOINT_URL right, and is the store up?": (
            isinstance(error, _NO_ANSWER)
        ),
        "is no name of a bucket.": isinstance(error, boto.ParamValidationError),
        f"cannot be used ({error}); are the bucket's name and AWS_ENDPOINT_URL right?": (
            isinstance(error, boto.BotoCoreError | ValueError) or code in _UNUSABLE
        ),
    }
    return next((sentence for sentence, applies in sentences.items() if applies), None)
