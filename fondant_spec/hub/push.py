"""Sending an export to the hub according to a plan, in as few commits as the hub can handle."""

import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import huggingface_hub as hub
from huggingface_hub.utils import disable_progress_bars, validate_repo_id  # type: ignore[attr-defined]

from fondant_spec.dataset.written_files import MARK
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.hub.export_folder import ExportFolder, OutgoingFile
from fondant_spec.hub.push_errors import SIGN_IN, told_of
from fondant_spec.hub.push_plan import PushPlan
from fondant_spec.hub.remote_repository import KIND, RemoteRepository
from fondant_spec.shown_text import remember

Operation = hub.CommitOperationAdd | hub.CommitOperationDelete

_FILES_A_COMMIT: Final = 1000


class Hub:
    """The hub, accessed with the token of the environment or of `hf auth login`."""

    def __init__(self) -> None:
        if token := hub.get_token():
            remember(token)
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # warnings contain signed URLs
        if not sys.stderr.isatty():
            disable_progress_bars()
        self._api = hub.HfApi()

    def plan(
        self, export: ExportFolder, name: str, revision: str, *, private: bool, sends: bool
    ) -> PushPlan:
        """Work out what a push would do, without changing anything.

        If nothing is to be sent, the hub is only queried if that is possible: the files of the
        export are here.

        Raises:
            HubError: the name is invalid, the hub rejects the token, or it cannot be reached.
        """
        with told_of(name):
            validate_repo_id(name)
            unasked = "" if sends else _why_not_to_ask()
            remote = RemoteRepository(name, revision, unasked=unasked)
            if not unasked:
                user = self._api.whoami()["name"]
                full = name if "/" in name else f"{user}/{name}"
                remote = RemoteRepository.read(self._api, full, revision)
        return PushPlan.of(replace(export, repository=remote.name), remote, private=private)

    def push(self, plan: PushPlan, message: str, tag: str | None) -> str:
        """Carry out a plan, and return the URL of the result.

        What was sent before a failure is not sent again. The mark comes last: while it is missing
        or the old one, the repository is incomplete.

        Raises:
            HubError: the hub refuses a request, or cannot be reached.
        """
        name, revision = plan.repository.name, plan.repository.revision
        with told_of(name):
            self._api.create_repo(name, repo_type=KIND, private=plan.private, exist_ok=True)
            if not plan.repository.has_branch and revision != "main":
                self._api.create_branch(name, branch=revision, repo_type=KIND, exist_ok=True)
            for number, operations in enumerate(_commits(plan)):
                self._api.create_commit(
                    name,
                    operations,
                    commit_message=message if number == 0 else f"{message} (part {number + 1})",
                    repo_type=KIND,
                    revision=revision,
                )
            if tag is not None:
                self._api.create_tag(name, tag=tag, revision=revision, repo_type=KIND)
        return f"{self._api.endpoint}/datasets/{name}/tree/{tag or revision}"


def _why_not_to_ask() -> str:
    """Return why the hub cannot be queried; empty if it can."""
    if hub.constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    return "" if hub.get_token() else f"there is no token; to send them, {SIGN_IN}"


def check(plan: PushPlan, tag: str | None, *, overwrites: bool) -> None:
    """Check that a plan does nothing that was not asked for.

    Raises:
        InvalidArgumentError: the repository is public and was to be private, has files of others
            in the way, or has the tag already.
    """
    name = plan.repository.name
    if plan.private and plan.repository.is_public:
        msg = f"{name}: is public, so all would see what is pushed; add --public if so meant."
        raise InvalidArgumentError(msg)
    if plan.taken_over and not overwrites:
        msg = (
            f"{name}: has {plan.taken_over[0]!r}, which was not pushed from an export; choose "
            "another repository or --revision, or add --overwrite."
        )
        raise InvalidArgumentError(msg)
    if tag in plan.repository.tags:
        msg = f"{name}: has a tag {tag!r} already; choose another --tag."
        raise InvalidArgumentError(msg)


def _commits(plan: PushPlan) -> Iterator[list[Operation]]:
    """Yield the operations of each commit: files, then removals, then the mark."""
    sent = plan.outgoing
    operations: list[Operation] = [
        *(_addition(name, file) for name, file in sent.items() if name != MARK),
        *(hub.CommitOperationDelete(name, is_folder=False) for name in plan.removed),
        *(_addition(name, file) for name, file in sent.items() if name == MARK),
    ]
    for start in range(0, len(operations), _FILES_A_COMMIT):
        yield operations[start : start + _FILES_A_COMMIT]


def _addition(name: str, file: OutgoingFile) -> hub.CommitOperationAdd:
    source = file.source if isinstance(file.source, bytes) else str(file.source)
    return hub.CommitOperationAdd(name, source)
