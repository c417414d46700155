"""Results that are there already: whether one still stands, and whether it is good enough."""

import shlex
from collections.abc import Iterable

from fondant_spec.dataset import storage
from fondant_spec.dataset.confinement import Reach
from fondant_spec.dataset.layout import PARTITION_ENDING
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.dataset.reject_listing import count_reasons, first_failure, in_words
from fondant_spec.dataset.written_files import is_as_written
from fondant_spec.errors import InvalidManifestError, RejectThresholdError


def committed_manifest(
    location: str, inputs: Iterable[Manifest], written: Iterable[str] = ()
) -> Manifest | None:
    """Return the manifest at a location if it is there and still stands, else None.

    `written` are the places outside of the base path that the step is asked to write to.

    It stands if it was made from the present content of its inputs, all its partitions are there in
    their full size, and what it wrote elsewhere is there with the content that it had: files, and
    all files of folders that have a mark.
    """
    if not storage.exists(location):
        return None
    try:
        manifest = Manifest.read(location)
    except InvalidManifestError:
        return None
    return manifest if _stands(manifest, inputs, Reach.of(location, written)) else None


def artifact_digests(artifacts: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of those artifacts that are files, by path."""
    return {path: storage.sha256_of(path) for path in artifacts if storage.is_file(path)}


def check_reject_share(manifest: Manifest, most: float) -> None:
    """Refuse a result in which more rows failed than allowed.

    Args:
        manifest: the result, or what is about to be one.
        most: the share of failed rows, between 0 and 1, that is still allowed.

    Raises:
        RejectThresholdError: more failed; the message has the reasons, and what to do.
    """
    share = manifest.failed / max(manifest.rows_in, 1)
    if share <= most:
        return
    failed = count_reasons(manifest.rejects_location).failed
    commonest = max(failed, key=lambda reason: failed[reason])
    example = first_failure(manifest.rejects_location, commonest)
    such = f" Such as {commonest}: {example}" if example else ""
    msg = (
        f"{manifest.step_id}: {manifest.failed} of {manifest.rows_in} rows failed ({share:.0%}), "
        f"more than max_reject_share {most:.0%} allows. Reasons: {in_words(failed)}.{such}\n"
        f"`fondant-spec show {shlex.quote(manifest.folder)} --rejects` lists the rows. Mend their "
        f"cause, or allow a greater share with `--set {manifest.step_id}.@max_reject_share=1`, and "
        "run again."
    )
    raise RejectThresholdError(msg)


def _stands(manifest: Manifest, inputs: Iterable[Manifest], reach: Reach) -> bool:
    if [i.digest for i in manifest.inputs] != [m.digest for m in inputs]:
        return False
    if not all(map(reach.covers, [*manifest.artifacts, *manifest.artifact_sha256])):
        return False
    if not all(map(storage.exists, manifest.artifacts)):
        return False
    if artifact_digests(manifest.artifact_sha256) != manifest.artifact_sha256:
        return False
    if not all(map(is_as_written, manifest.artifacts)):
        return False
    sizes = storage.sizes(manifest.index_location)
    return all(sizes.get(f"{p.name}{PARTITION_ENDING}") == p.bytes for p in manifest.partitions)
