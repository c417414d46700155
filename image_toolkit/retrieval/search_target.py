"""What to search: an index of files or a service, opened in the same way."""

from dataclasses import dataclass

from fondant_spec.errors import InvalidArgumentError
from image_toolkit.retrieval.hub.locate_index import locate_index
from image_toolkit.retrieval.search.aesthetics import Aesthetics
from image_toolkit.retrieval.search.hits import CLIP_RETRIEVAL_DUPLICATE_THRESHOLD, Index
from image_toolkit.retrieval.search.retrieve import Wanted
from image_toolkit.retrieval.service.service_client import GONE, Service
from image_toolkit.retrieval.service.service_settings import ServiceSettings


@dataclass(frozen=True)
class SearchTarget:
    """Either an `index` or the `url` of a service, and which of its indexes.

    Args:
        index: A folder or file in one of the layouts that `IndexFolder` reads, or one on the
            Hugging Face hub, as `hf://datasets/OWNER/NAME[@REVISION][/FOLDER]`.
        url: URL of a clip-retrieval service.
        indice_name: Which index, if there are several.
        metadata: Metadata folder of an index on disk, if its layout has none.
        modality: `image` or `text`: the vectors to search.
        index_model_id: The CLIP model of the index, if it does not state it itself.
        faiss_options: Search options of a FAISS index, such as `nprobe=64`.

    Raises:
        InvalidArgumentError: neither or both of `index` and `url` are given.
    """

    index: str | None = None
    url: str | None = None
    indice_name: str | None = None
    metadata: str | None = None
    modality: str = "image"
    index_model_id: str | None = None
    faiss_options: str | None = None

    def __post_init__(self) -> None:
        """Check that it is clear what to search."""
        if (self.index is None) == (self.url is None):
            msg = f"index, url: name either an `index` or the `url` of a service. {GONE}"
            raise InvalidArgumentError(msg)

    def check(self, wanted: Wanted, aesthetics: Aesthetics) -> None:
        """Refuse what this kind of target cannot do.

        Raises:
            InvalidArgumentError: naming the argument.
        """
        if self.index is not None:
            aesthetics.check_folder()
        elif wanted.threshold not in (None, CLIP_RETRIEVAL_DUPLICATE_THRESHOLD):
            msg = "duplicate_threshold: a service has its own; leave it out."
            raise InvalidArgumentError(msg)
        elif wanted.diversity is not None:
            msg = "diversity: a service gives no vectors, which it needs; leave it out."
            raise InvalidArgumentError(msg)

    def open(self, aesthetics: Aesthetics, service: ServiceSettings) -> Index:
        """Open the index; both arguments only matter for a service.

        Raises:
            InputDataError: it cannot be read or reached.
        """
        if self.index is None:
            url = str(self.url)
            return Service(url, self.indice_name, self.modality, aesthetics, service).open()
        return locate_index(
            self.index, self.indice_name, self.modality, self.metadata, self.faiss_options
        ).open()
