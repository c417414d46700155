"""Explaining why a step is, or is not, a cache hit."""

from collections.abc import Iterator, Mapping
from typing import Any

from fondant_spec.dataset import storage
from fondant_spec.dataset.layout import PipelineFolder
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import FondantError
from fondant_spec.pipeline.plan import Plan, PlannedStep


def explain(plan: Plan) -> list[str]:
    """Return one line per step of a plan: a hit, or what differs from its latest result."""
    hits = plan.committed()
    return [f"{planned.id}: {_why(plan, planned, hits)}" for planned in plan.steps]


def _why(plan: Plan, planned: PlannedStep, hits: Mapping[str, Manifest]) -> str:
    if planned.id in hits:
        return f"a hit, {hits[planned.id].rows} rows at {storage.parent(planned.location)}"
    if not planned.step.takes_committed:
        told = "failed rows are tried again" if planned.step.retry else "the step says cache=False"
        return f"runs, because {told}"
    waiting = [name for name in planned.step.after if name not in hits]
    if storage.exists(planned.location):
        if waiting:
            return f"depends on {', '.join(waiting)}: a hit if that gives the same rows again"
        return "runs, because its input's content changed, or its result is gone or changed"
    earlier = _earlier(plan, planned)
    if not earlier:
        return "runs, because it has no earlier result here"
    latest = earlier[-1]
    return "runs; " + "; ".join(differences(latest.key_parts, planned.key_parts))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Describe the differences between the parts of two cache keys."""
    words = []
    if old.get("code") != new.get("code"):
        words.append("the component's code changed")
    for side in ("arguments", "consumes", "produces"):
        words += _changes(side, old.get(side, {}), new.get(side, {}))
    if old.get("inputs") != new.get("inputs"):
        words.append("its input is another one")
    return words or ["nothing in the key differs"]


def _changes(side: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if all(str(value).startswith("content:") for value in (before, after)):
            yield f"{side}.{name}: the content of the files changed"
        else:
            yield f"{side}.{name}: {before!r} became {after!r}"


def _earlier(plan: Plan, planned: PlannedStep) -> list[Manifest]:
    """Return the committed results of a step under other keys, oldest first."""
    folder = PipelineFolder.of(plan.base_path, plan.pipeline_name)
    found = []
    for key in folder.cache_keys(planned.id):
        location = folder.step(planned.id, key).manifest
        if key != planned.cache_key and storage.exists(location):
            try:
                found.append(Manifest.read(location))
            except FondantError:
                continue
    return sorted(found, key=_committed_at)


def _committed_at(manifest: Manifest) -> float:
    """Return when a manifest was written, in seconds; run names do not tell."""
    fs, path = storage.filesystem(manifest.location)
    return float(fs.modified(path).timestamp())
