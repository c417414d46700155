"""Resolving branches and tags on the Hugging Face hub to their current commits.

A model or dataset of the hub without a revision is whatever its branch `main` holds, which moves.
The same is true of a path like `hf://datasets/OWNER/NAME/FOLDER` or `hf://OWNER/NAME/FILE`. The
cache key contains the commit instead of the revision, so that a result of an earlier state is not a
hit. The component still gets its arguments unchanged.
"""

import logging
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from fondant_spec.spec.component_spec import ComponentSpec

logger = logging.getLogger(__name__)

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_PATH: Final = re.compile(
    r"hf://(?P<kind>datasets/)?(?P<repository>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?(?P<rest>(/.*)?)"
)
_SECONDS: Final = 5
_BUSY: Final = (408, 429)
"""Status codes that concern the hub and not the request."""


class Reference(NamedTuple):
    """A branch or tag of a repository; `kind` is `model` or `dataset`."""

    kind: str
    repository: str
    revision: str

    def __str__(self) -> str:
        """Format it for a message."""
        return f"{self.kind} {self.repository} at {self.revision}"


def commits(spec: ComponentSpec, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Resolve each argument that is a moving revision to its commit; return the commits by name.

    A path on the hub is returned with the commit in it. If a lookup fails, this is logged once, and
    the commit that this machine last fetched or saw is used; if there is none, the argument is left
    out.
    """
    looked_up = {name: _commit(reference) for name, reference in _references(spec, arguments)}
    for name, reference, rest in _paths(spec, arguments):
        commit = _commit(reference)
        kind = "datasets/" if reference.kind == "dataset" else ""
        looked_up[name] = commit and f"hf://{kind}{reference.repository}@{commit}{rest}"
    return {name: commit for name, commit in looked_up.items() if commit}


def _paths(
    spec: ComponentSpec, arguments: Mapping[str, Any]
) -> Iterator[tuple[str, Reference, str]]:
    """Yield the arguments that are paths on the hub, with repository and remaining path."""
    for name, argument in spec.arguments.items():
        found = _PATH.fullmatch(str(arguments.get(name))) if argument.path else None
        revision = unquote(found["revision"] or "main") if found else ""
        if found and not _COMMIT.fullmatch(revision):
            kind = "dataset" if found["kind"] else "model"
            yield name, Reference(kind, found["repository"], revision), found["rest"]


def _references(
    spec: ComponentSpec, arguments: Mapping[str, Any]
) -> Iterator[tuple[str, Reference]]:
    for name, argument in spec.arguments.items():
        if argument.revision_of is None:
            continue
        kind, source = argument.revision_of
        repository = str(arguments.get(source) or "")
        revision = str(arguments.get(name) or "main")
        on_hub = _ID.fullmatch(repository) and not Path(repository).expanduser().exists()
        if on_hub and not _COMMIT.fullmatch(revision):
            yield name, Reference(kind, repository, revision)


@lru_cache(maxsize=1024)  # also so that all steps of a plan see the same state
def _commit(reference: Reference) -> str | None:
    try:
        import huggingface_hub as hub  # noqa: PLC0415 - a second, where nothing is on the hub
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled  # noqa: PLC0415
    except ImportError:
        logger.warning("%s is not looked up: huggingface_hub is not installed.", reference)
        return None
    api = hub.HfApi()
    look_up = api.dataset_info if reference.kind == "dataset" else api.model_info
    try:
        found = look_up(reference.repository, revision=reference.revision, timeout=_SECONDS)
    except OfflineModeIsEnabled:
        why = "HF_HUB_OFFLINE is set"
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else 500
        if code < 500 and code not in _BUSY:  # noqa: PLR2004
            return None  # does not exist, or is not accessible: the component says which
        why = "the hub failed"
    except Exception as error:  # noqa: BLE001 - of whichever HTTP library the hub's client uses
        why = f"the hub cannot be reached: {type(error).__name__}"
    else:
        if found.sha:
            _remember(reference, found.sha)
        return found.sha
    commit = _last_known(reference)
    taken = f"taken as {commit[:12]}, as last seen" if commit else "an older result counts as new"
    logger.warning("%s is not looked up on the hub (%s): %s.", reference, why, taken)
    return commit


def _remember(reference: Reference, commit: str) -> None:
    note = _note(reference)
    part = note.with_name(f"{note.name}.{uuid.uuid4().hex}")
    with suppress(OSError):  # HF_HOME may not be writable
        note.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(commit, encoding="utf-8")
        part.replace(note)


def _note(reference: Reference) -> Path:
    """Return the file in which this machine records its last lookup."""
    from huggingface_hub import constants  # noqa: PLC0415

    return Path(constants.HF_HOME, "fondant_revisions", *reference)


def _last_known(reference: Reference) -> str | None:
    """Return the commit in the local hub cache, or else the one last looked up."""
    from huggingface_hub import constants  # noqa: PLC0415
    from huggingface_hub.file_download import repo_folder_name  # noqa: PLC0415

    folder = repo_folder_name(repo_id=reference.repository, repo_type=reference.kind)
    cached = Path(constants.HF_HUB_CACHE, folder, "refs", reference.revision)
    known = next((place for place in (cached, _note(reference)) if place.is_file()), None)
    return known.read_text(encoding="utf-8").strip() if known else None
