"""Collecting what no run refers to: results of steps under old keys, and half-finished ones.

Only what is certainly a result is garbage: a folder `<step>/<cache key>` with a manifest, the
checkpoints of finished partitions or leases, in a pipeline that has runs, and that nobody writes.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from fondant_spec.dataset import run_references as references
from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder, StepFolder
from fondant_spec.dataset.lease import held_if_free, is_held
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import InvalidArgumentError, did_you_mean
from fondant_spec.pipeline.run_history import read_runs

_CACHE_KEY: Final = re.compile(r"[0-9a-f]{16}")


def collect(
    base_path: str,
    pipeline_name: str,
    *,
    keep_runs: int | None = None,
    delete: bool = False,
) -> list[str]:
    """Return the folders of steps that no run refers to, and remove them if asked to.

    A run refers to all the keys it planned and to those that its steps noted, so what a running or
    interrupted run has finished so far is kept, also of one started elsewhere. With `keep_runs`,
    of the runs with a record only the newest so many count, and older ones go too. Those of a part
    of the steps (`--until`) do not count: they would drive out what whole ones made.

    Raises:
        InvalidArgumentError: `keep_runs` is negative, or there is no such pipeline.
        InvalidDatasetError: a run's record cannot be read, so what it refers to is not known.
    """
    _check_keep_runs(keep_runs)
    base_path = storage.normalize(base_path)
    _check_pipeline(base_path, pipeline_name)
    root = PipelineFolder.of(base_path, pipeline_name)
    runs = read_runs(base_path, pipeline_name)
    old = runs[: _first_kept(runs, keep_runs)] if keep_runs is not None else []
    forgotten = {run["run_id"] for run in old}

    def referred() -> set[tuple[str, str]]:
        now = read_runs(base_path, pipeline_name)  # others may have begun meanwhile
        planned = (run["planned"].items() for run in now if run["run_id"] not in forgotten)
        return _with_origins(root, {*chain.from_iterable(planned), *_noted(root, forgotten)})

    garbage = _garbage(root, referred())
    records = [root.run(run["run_id"]).location for run in old]
    if delete:
        garbage = [folder for folder in garbage if _remove(StepFolder(folder), referred)]
        for record in records:
            storage.remove(record)
    return garbage + records


def _garbage(root: PipelineFolder, kept: Collection[tuple[str, str]]) -> list[str]:
    """Return the folders of the results that are not among those kept, and that nobody writes."""
    folders = [root.step(step, key) for step in root.step_ids() for key in root.cache_keys(step)]
    unkept = [one for one in folders if (one.step_id, one.cache_key) not in kept]
    return [one.location for one in unkept if _is_result(one) and not is_held(one)]


def _noted(root: PipelineFolder, forgotten: set[str]) -> set[tuple[str, str]]:
    """Return what the steps of runs noted, but for the runs that are to be forgotten."""
    noted = references.read(root)
    return {pair for run_id, pairs in noted.items() if run_id not in forgotten for pair in pairs}


def _remove(folder: StepFolder, referred: Callable[[], set[tuple[str, str]]]) -> bool:
    """Remove the folder of a step, but not if a run has come to it meanwhile; return whether.

    What makes it a result goes first, and its lease last.
    """
    pair = folder.step_id, folder.cache_key
    with held_if_free(folder, "gc") as free:
        if not free or pair in referred():
            return False
        commit = storage.read_text(folder.manifest) if storage.exists(folder.manifest) else None
        storage.remove(folder.manifest)
        # A run notes what it refers to before it looks whether that is there: one that found it
        # has noted it by now.
        if pair in referred():
            if commit is not None:
                storage.write_text(folder.manifest, commit)
            return False
        storage.remove(folder.data)
        storage.remove(folder.location)
        return True


def _first_kept(runs: Sequence[Mapping[str, Any]], keep: int) -> int:
    """Return the index of the oldest of the newest `keep` complete runs."""
    whole = [place for place, run in enumerate(runs) if not run.get("until")]
    if not keep:
        return len(runs)
    return whole[-keep] if len(whole) >= keep else 0


def _with_origins(root: PipelineFolder, referred: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return results by step and key, with all those that their rows lie in or were made from."""
    found, waiting = set[tuple[str, str]](), list(referred)
    while waiting:
        pair = waiting.pop()
        location = root.step(*pair).manifest
        if pair in found or not storage.exists(location):
            found.add(pair)
            continue
        found.add(pair)
        manifest = Manifest.read(location)
        places = [one.location for one in manifest.inputs]
        places += [manifest.index_location, *(f.location for f in manifest.fields.values())]
        for place in places:
            words = place.removeprefix(f"{root.location}/").split("/")
            if place.startswith(f"{root.location}/") and len(words) > 1:
                waiting.append((words[0], words[1]))
    return found


def _check_keep_runs(keep_runs: int | None) -> None:
    if keep_runs is not None and keep_runs < 0:
        msg = f"keep_runs must be 0 or more, not {keep_runs}."
        raise InvalidArgumentError(msg)


def _check_pipeline(base_path: str, name: str) -> None:
    found = [
        folder
        for folder in storage.folders(base_path)
        if storage.exists(PipelineFolder.of(base_path, folder).runs)
    ]
    if name not in found:
        hint = did_you_mean(name, found)
        msg = f"{base_path} holds no runs of a pipeline {name!r}{hint} Pipelines: "
        raise InvalidArgumentError(msg + (", ".join(found) or "none") + ".")


def _is_result(folder: StepFolder) -> bool:
    marks = (folder.manifest, folder.checkpoints, folder.leases)
    return bool(_CACHE_KEY.fullmatch(folder.cache_key)) and any(map(storage.exists, marks))
