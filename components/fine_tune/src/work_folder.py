"""The folder with the state from which a training resumes."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fondant_spec.dataset import storage

logger = logging.getLogger(__name__)


@contextmanager
def work_folder(unfinished: str) -> Iterator[Path]:
    """Yield a folder whose content is kept until the step is done."""
    if not storage.is_remote(unfinished):
        Path(unfinished).mkdir(parents=True, exist_ok=True)
        yield Path(unfinished)
        return
    logger.warning(
        "The base path is no folder of this machine, so checkpoints lie in a temporary one: a run "
        "that is stopped begins anew."
    )
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
