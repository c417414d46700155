"""A `conditional_writes` file on an object store: one object, written with a precondition.

The first line of the object is a token unique to the write. It makes the hash of every version
unique, and tells apart two kinds of refused writes: one that was done before (the store's answer
was lost, and the request was sent again), and one that came second.
"""

import json
import time
import uuid
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import quote

from fsspec.asyn import sync

from fondant_spec.dataset import storage
from fondant_spec.errors import StorageError

# S3: others are writing the object right now, so ask again.
_BUSY = {"ConditionalRequestConflict", "OperationAborted", "409"}
_REFUSED = {"PreconditionFailed", "412", "NoSuchKey", "404"}
_TRIES_WHEN_BUSY = 8


class _Object(ABC):
    """What all stores have in common; subclasses put and get."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._fs, path = storage.filesystem(url)
        self._bucket, _, self._key = path.partition("/")

    def read(self) -> tuple[str, str] | None:
        """Return the text and version; None if the object does not exist."""
        found = self._get()
        return found and (found[0].partition("\n")[2], found[1])

    def create(self, text: str, token: str) -> str | None:
        """Create the object and return its version; None if it exists."""
        return self._write(text, token, None)

    def replace(self, text: str, token: str, version: str) -> str | None:
        """Replace `version` and return the new one; None if it is no longer current."""
        return self._write(text, token, version)

    def _write(self, text: str, token: str, version: str | None) -> str | None:
        if put := self._put(f"{token}\n{text}".encode(), version):
            return put
        found = self._get()
        return found[1] if found and found[0].startswith(f"{token}\n") else None

    @abstractmethod
    def _get(self) -> tuple[str, str] | None:
        """Return the whole content and its version; None if the object does not exist."""

    @abstractmethod
    def _put(self, body: bytes, version: str | None) -> str | None:
        """Write over a version, or create the object; None if the precondition fails."""


class S3Place(_Object):
    """An object in a store with S3's protocol; its version is its ETag."""

    def _get(self) -> tuple[str, str] | None:
        try:
            body, etag = sync(self._fs.loop, self._get_whole)
        except FileNotFoundError:
            return None
        return body.decode(), etag

    async def _get_whole(self) -> tuple[bytes, str]:
        answer = await self._fs._call_s3("get_object", Bucket=self._bucket, Key=self._key)  # noqa: SLF001
        async with answer["Body"] as body:
            return await body.read(), answer["ETag"]

    def _put(self, body: bytes, version: str | None) -> str | None:
        condition = {"IfMatch": version} if version else {"IfNoneMatch": "*"}
        for again in range(_TRIES_WHEN_BUSY):
            try:
                answer = self._fs.call_s3(
                    "put_object", Bucket=self._bucket, Key=self._key, Body=body, **condition
                )
            except OSError as error:
                code = _code(error)
                if code in _REFUSED:
                    return None
                if code not in _BUSY:
                    msg = f"{self._url}: cannot be written ({error})."
                    raise StorageError(msg) from None
                time.sleep(0.05 * 2**again)
            else:
                return str(answer["ETag"])
        msg = f"{self._url}: cannot be written, others write it all the time; try again later."
        raise StorageError(msg)


class GooglePlace(_Object):
    """An object in Google Cloud Storage; its version is its generation."""

    def _get(self) -> tuple[str, str] | None:
        try:
            headers, body = self._fs.call("GET", self._fs.url(f"{self._bucket}/{self._key}"))
        except FileNotFoundError:
            return None
        return body.decode(), str(headers["X-Goog-Generation"])

    def _put(self, body: bytes, version: str | None) -> str | None:
        boundary = uuid.uuid4().hex
        start, end = f"--{boundary}\r\n", f"\r\n--{boundary}--\r\n"
        about = f"Content-Type: application/json\r\n\r\n{json.dumps({'name': self._key})}\r\n"
        head = f"{start}{about}{start}Content-Type: text/plain; charset=utf-8\r\n\r\n"
        try:
            answer = self._fs.call(
                "POST",
                f"{self._fs._location}/upload/storage/v1/b/{quote(self._bucket)}/o",  # noqa: SLF001
                uploadType="multipart",
                ifGenerationMatch=version or "0",
                headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
                data=head.encode() + body + end.encode(),
                json_out=True,
            )
        except FileExistsError:
            return None
        return str(answer["generation"])


def _code(error: BaseException) -> str:
    """Return S3's error code."""
    answer: dict[str, Any] = getattr(error.__cause__, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))
