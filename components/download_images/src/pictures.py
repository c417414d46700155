"""The outcome of a row: a picture with its origin, or the reason why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from image_toolkit.crawl.fetch_errors import FetchError
from image_toolkit.crawl.reply import Reply
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.rendering import Rendered, Rendering, UnwantedImageError, sha256

SCHEMA: Final = pa.schema(
    [
        ("id", pa.string()),
        ("image", pa.binary()),
        ("image_width", pa.int32()),
        ("image_height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("sha256", pa.string()),
        ("phash", pa.string()),
        ("final_url", pa.string()),
        ("status", pa.int32()),
        ("mime_type", pa.string()),
        ("etag", pa.string()),
        ("last_modified", pa.string()),
        ("fetched_at", pa.timestamp("us", tz="UTC")),
        ("opt_out", pa.string()),
    ],
)


@dataclass(frozen=True)
class UrlRow:
    """An input row; `position` is its place in the partition.

    Of all rows with its `seed_id`, `images_wanted` are to give an image; None for all.
    """

    position: int
    id: str
    url: str | None
    expected_sha256: str | None = None
    seed_id: str | None = None
    images_wanted: int | None = None


@dataclass(frozen=True)
class Picture:
    """An output row."""

    id: str
    rendered: Rendered
    sha256: str
    final_url: str
    status: int
    mime_type: str | None
    etag: str | None
    last_modified: str | None
    fetched_at: datetime
    opt_out: str | None


@dataclass(frozen=True)
class Outcome:
    """The outcome of a row; without a `picture`, there is a `reason`.

    `passing` failures may be retried; `filtered` rows were left out as the user asked.
    """

    row: UrlRow
    attempts: int
    picture: Picture | None = None
    reason: str = ""
    message: str = ""
    host: str = ""
    fetched_bytes: int = 0
    passing: bool = False
    filtered: bool = False

    @classmethod
    def of_error(cls, row: UrlRow, error: FetchError, attempts: int) -> "Outcome":
        """Return the outcome of a failed fetch; a straggler has used up its chances."""
        passing = error.passing and error.reason != "straggler"
        return cls(row, attempts, None, error.reason, error.message, error.host, passing=passing)


def make_picture(row: UrlRow, reply: Reply, attempts: int, rendering: Rendering) -> Outcome:
    """Return the outcome of decoding the body of a reply."""
    body = bytes(reply.body)
    digest = sha256(body)
    host = reply.url.host
    size = len(body)
    if row.expected_sha256 and row.expected_sha256.lower() != digest:
        message = f"{host}: sha256 {digest}, the index says {row.expected_sha256}"
        return Outcome(row, attempts, None, "hash_mismatch", message, host, size)
    try:
        rendered = rendering.render(body)
    except NotAnImageError as error:
        return Outcome(row, attempts, None, error.reason, f"{host}: {error}", host, size)
    except UnwantedImageError as error:
        return Outcome(row, attempts, None, error.reason, str(error), host, size, filtered=True)
    picture = Picture(
        id=row.id,
        rendered=rendered,
        sha256=digest,
        final_url=reply.url.text,
        status=reply.status,
        mime_type=_shown(reply.header("content-type")),
        etag=_shown(reply.header("etag")),
        last_modified=_shown(reply.header("last-modified")),
        fetched_at=datetime.now(UTC),
        opt_out=_shown(reply.opt_out),
    )
    return Outcome(row, attempts, picture, host=host, fetched_bytes=size)


def to_batch(pictures: Sequence[Picture]) -> pa.RecordBatch:
    """Convert pictures to rows of `SCHEMA`."""
    rendered = [picture.rendered for picture in pictures]
    columns = [
        [p.id for p in pictures],
        [r.data for r in rendered],
        [r.width for r in rendered],
        [r.height for r in rendered],
        [r.original_width for r in rendered],
        [r.original_height for r in rendered],
        [p.sha256 for p in pictures],
        [r.phash for r in rendered],
        [p.final_url for p in pictures],
        [p.status for p in pictures],
        [p.mime_type for p in pictures],
        [p.etag for p in pictures],
        [p.last_modified for p in pictures],
        [p.fetched_at for p in pictures],
        [p.opt_out for p in pictures],
    ]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _shown(header: str | None) -> str | None:
    """Return an untrusted header as short printable text."""
    return "".join(c if c.isprintable() else "\ufffd" for c in (header or "")[:500]) or None
