"""Downloads images, and makes training images of them."""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from crawl import Crawl
from rows import noting, rows_of
from tally import Tally

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.cpu import cpu_count
from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.executor import execute
from image_toolkit.crawl.addresses import AddressPolicy
from image_toolkit.crawl.fetch_limits import Limits
from image_toolkit.crawl.fetcher import Fetcher, Settings
from image_toolkit.images.rendering import EncodeFormat, Rendering, ResizeMode

if TYPE_CHECKING:
    from verify import Verifier


logger = logging.getLogger(__name__)


class DownloadImages(StreamTransformComponent):
    """Turns URLs into images. One process does all, so that the limits per host hold."""

    uses_device = True
    partitions_at_once = 4

    def __init__(
        self,
        *,
        image_size: int = 512,
        resize_mode: ResizeMode = "keep_ratio",
        resize_only_if_bigger: bool = True,
        min_image_size: int = 256,
        max_aspect_ratio: float = 2.5,
        encode_format: EncodeFormat = "jpg",
        quality: int = 95,
        decode_kept: bool = True,
        timeout: int = 20,
        connect_timeout: int = 5,
        min_bytes_per_second: int = 1000,
        retries: int = 2,
        n_connections: int = 128,
        connections_per_host: int = 4,
        requests_per_second_per_host: float = 10.0,
        failures_per_host: int = 10,
        straggler_timeout: int = 120,
        max_bytes: int = 20 << 20,
        max_pixels: int = 64_000_000,
        user_agent: str = "fondant-image-bot/1.0",
        contact: str | None = None,
        respect_robots: bool = True,
        respect_opt_outs: bool = True,
        allow_private_hosts: bool = False,
        allowed_ports: list[int] | None = None,
        proxy: str | None = None,
        verify_embedding: float | None = None,
        verify_model_id: str = "openai/clip-vit-large-patch14",
    ) -> None:
        _check(
            positive={
                "image_size": image_size,
                "timeout": timeout,
                "connect_timeout": connect_timeout,
                "n_connections": n_connections,
                "connections_per_host": connections_per_host,
                "max_bytes": max_bytes,
                "max_pixels": max_pixels,
            },
            quality=quality,
        )
        self._rendering = Rendering(
            image_size=image_size,
            resize_mode=resize_mode,
            only_if_bigger=resize_only_if_bigger,
            encode_format=encode_format,
            quality=quality,
            min_image_size=min_image_size,
            max_aspect_ratio=max_aspect_ratio,
            max_pixels=max_pixels,
            decode_kept=decode_kept,
        )
        self._limits = Limits(
            connect_timeout=connect_timeout,
            timeout=timeout,
            slowest=min_bytes_per_second,
            body_bytes=max_bytes,
            connections=n_connections,
            host_connections=connections_per_host,
            host_interval=1 / requests_per_second_per_host if requests_per_second_per_host else 0,
            host_failures=failures_per_host,
            retries=retries,
        )
        if not contact and not allow_private_hosts:
            logger.warning(
                "contact is not set, so nobody who runs a host can reach you: give a web page or "
                "a mail address."
            )
        self._settings = Settings(
            user_agent=f"{user_agent} (+{contact})" if contact else user_agent,
            limits=self._limits,
            addresses=(
                AddressPolicy.with_private_hosts() if allow_private_hosts else AddressPolicy()
            ),
            ports=frozenset(allowed_ports) if allowed_ports else None,
            respect_robots=respect_robots,
            respect_opt_outs=respect_opt_outs,
            proxy=proxy or "",
        )
        self._straggler_timeout = straggler_timeout
        self._verify_embedding = verify_embedding
        self._verify_model_id = verify_model_id
        self._verifier: Verifier | None = None
        self._open = ExitStack()

    def setup(self, context: SetupContext) -> None:
        """Start the connection pool and the threads that decode."""
        if self._verify_embedding is not None:
            self._verifier = self._load_verifier(self._verify_embedding, context)
            self._open.callback(self._verifier.close)
        self._tally = Tally()
        self._open.callback(self._tally.tell)
        self._decoders = ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode")
        self._open.callback(self._decoders.shutdown)
        self._fetcher = Fetcher(self._settings)
        self._fetcher.start()
        self._open.callback(self._fetcher.close)

    def teardown(self) -> None:
        """Close all connections, and tell where the rows went."""
        self._open.close()

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the images of the rows that gave one."""
        crawl = Crawl(
            self._fetcher,
            self._decoders,
            self._rendering,
            context.rejects,
            self._tally,
            straggler_timeout=self._straggler_timeout,
            second_pass=self._limits.retries > 0,
        )
        if self._verifier is None:
            return crawl.run(rows_of(batches))
        expected: dict[str, Any] = {}
        images = crawl.run(rows_of(noting(batches, expected)))
        return self._verifier.kept(images, expected, context.rejects)

    def _load_verifier(self, least_cosine: float, context: SetupContext) -> "Verifier":
        if "expected_embedding" not in context.input_fields:
            msg = (
                "verify_embedding needs the field expected_embedding: have the retrieval return "
                "the vectors of its index, or leave verify_embedding out."
            )
            raise InputDataError(msg)
        from verify import Verifier  # noqa: PLC0415 - loads torch, which others need not have

        verifier = Verifier(self._verify_model_id, least_cosine)
        verifier.load()
        return verifier

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return how the images were made, and what was respected in fetching them."""
        image = asdict(self._rendering)
        if self._verifier is not None:
            image["verified_by"] = self._verifier.metadata()
        return {
            "image": image,
            "final_url": {
                "user_agent": self._settings.user_agent,
                "respect_robots": self._settings.respect_robots,
                "respect_opt_outs": self._settings.respect_opt_outs,
            },
        }


def _check(*, positive: Mapping[str, int], quality: int) -> None:
    for name, value in positive.items():
        if value < 1:
            msg = f"{name}: {value} is too little; give 1 or more."
            raise InvalidArgumentError(msg)
    if not 1 <= quality <= 100:  # noqa: PLR2004 - the scale of JPEG and WebP
        msg = f"quality: {quality} is not between 1 and 100."
        raise InvalidArgumentError(msg)


if __name__ == "__main__":
    execute(DownloadImages)
