"""Downloads images and converts them to training images."""

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from candidates import Candidates
from crawl import Crawl
from rows import noting, rows_of
from tally import Tally
from yield_estimate import LOOKED_AT, tell_yield

from fondant_spec.component import RowContext, SetupContext, StreamTransformComponent
from fondant_spec.cpu import cpu_count
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import InputDataError, MissingDependencyError
from fondant_spec.executor import execute
from image_toolkit.crawl.access_policy import AccessPolicy
from image_toolkit.crawl.fetch_limits import FetchLimits
from image_toolkit.crawl.fetcher import Fetcher
from image_toolkit.images.rendering import Rendering

if TYPE_CHECKING:
    from verify import Verifier


logger = logging.getLogger(__name__)


class DownloadImages(StreamTransformComponent):
    """Downloads URLs to images. A single process does it all, so that limits per host hold."""

    uses_device = True
    partitions_at_once = 4

    def __init__(
        self,
        *,
        rendering: Rendering,
        limits: FetchLimits,
        access: AccessPolicy,
        straggler_timeout: float = 120.0,
        verify_embedding: float | None = None,
        verify_model_id: str = "openai/clip-vit-large-patch14",
        images_per_seed: int | None = None,
        yield_sample: int = 200,
    ) -> None:
        if not access.contact and not access.allow_private_hosts:
            logger.warning(
                "contact is not set, so nobody who runs a host can reach you: give a web page or "
                "a mail address."
            )
        self._rendering = rendering
        self._limits = limits
        self._access = access
        self._straggler_timeout = straggler_timeout
        self._verify_embedding = verify_embedding
        self._verify_model_id = verify_model_id
        self._images_per_seed = images_per_seed
        self._yield_sample = yield_sample
        self._verifier: Verifier | None = None
        self._open = ExitStack()

    def setup(self, context: SetupContext) -> None:
        """Start the connection pool and the decoder threads."""
        self._check_target(context)
        if self._verify_embedding is not None:
            self._verifier = self._load_verifier(self._verify_embedding, context)
            self._open.callback(self._verifier.close)
        self._tally = Tally()
        self._open.callback(self._tally.log)
        self._decoders = ThreadPoolExecutor(cpu_count(), thread_name_prefix="decode")
        self._open.callback(self._decoders.shutdown)
        self._fetcher = Fetcher(self._limits, self._access)
        self._fetcher.start()
        self._open.callback(self._fetcher.close)
        if self._yield_sample:
            rows = sum(Manifest.read(place).rows for place in context.manifests)
            urls = context.first_rows(["image_url"], LOOKED_AT)["image_url"]
            tell_yield(self._fetcher, urls, rows, self._yield_sample)

    def teardown(self) -> None:
        """Close all connections, and log the losses."""
        self._open.close()

    def transform_batches(
        self, batches: Iterator[pa.RecordBatch], context: RowContext
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows that gave an image."""
        crawl = Crawl(
            Candidates(self._images_per_seed, rows_of(context.earlier())),
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

    def _check_target(self, context: SetupContext) -> None:
        by_field = "images_wanted" in context.input_fields
        if "seed_id" in context.input_fields or not (by_field or self._images_per_seed):
            return
        told = "the field images_wanted" if self._images_per_seed is None else "images_per_seed"
        msg = (
            f"download_images: {told} says how many images of each seed are wanted, but no field "
            "says which seed a row is of; name it in consumes, {'seed_id': FIELD}."
        )
        raise InputDataError(msg)

    def _load_verifier(self, least_cosine: float, context: SetupContext) -> "Verifier":
        if "expected_embedding" not in context.input_fields:
            msg = (
                "verify_embedding needs the field expected_embedding: have the retrieval return "
                "the vectors of its index, or leave verify_embedding out."
            )
            raise InputDataError(msg)
        try:
            from verify import Verifier  # noqa: PLC0415 - imports torch, only needed here
        except ImportError as error:
            msg = (
                "verify_embedding needs the packages of the extra models, which this component's "
                f"image does not have: `pip install 'fondant-spec[models]'`. ({error})"
            )
            raise MissingDependencyError(msg) from error
        verifier = Verifier(self._verify_model_id, least_cosine)
        verifier.load()
        return verifier

    def field_metadata(self) -> Mapping[str, Mapping[str, Any]]:
        """Return how the images were made, and which opt-outs were respected."""
        image = asdict(self._rendering)
        if self._verifier is not None:
            image["verified_by"] = self._verifier.metadata()
        return {
            "image": image,
            "final_url": {
                "user_agent": self._access.full_user_agent,
                "respect_robots": self._access.respect_robots,
                "respect_opt_outs": self._access.respect_opt_outs,
            },
        }


if __name__ == "__main__":
    execute(DownloadImages)
