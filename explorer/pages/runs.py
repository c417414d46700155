"""Everything below the base path: pipelines, their runs, and the result of each step of a run."""

from starlette.requests import Request
from starlette.responses import Response

from explorer.place import names_of
from explorer.site import Site
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import FondantError
from fondant_spec.pipeline.find_run import Run
from fondant_spec.pipeline.run_status import StepStatus, step_statuses


def overview(site: Site, _request: Request) -> Response:
    """Return all runs, and the results that belong to no run."""
    pipelines = site.place.pipelines()
    told = {
        (name, step, key)
        for name, runs in pipelines.items()
        for run in runs
        for step, key in run.keys.items()
    }
    others = [_result(site, *names) for names in site.place.results() if names not in told]
    context = {"pipelines": pipelines, "others": others, "edits": _edits(site)}
    return site.page("overview.html", context)


def run(site: Site, request: Request) -> Response:
    """Return the steps of a run (rows, losses, time), beside another run if one is named."""
    names = request.path_params
    shown = site.place.run(names["pipeline"], names["run"])
    with_ = request.query_params.get("with", "")
    beside = site.place.run(names["pipeline"], with_) if with_ else None
    others = [one for one in site.place.pipelines()[shown.pipeline] if one.id != shown.id]
    context = {
        "run": shown,
        "others": others,
        "beside": beside,
        "steps": _steps(site, shown),
        "steps_beside": dict(_steps(site, beside)) if beside else {},
    }
    return site.page("run.html", context)


def _steps(site: Site, run: Run) -> list[tuple[str, tuple[StepStatus, Manifest | None]]]:
    """Return the progress of each step of a run, and its dataset if it has one."""
    found = []
    for status in step_statuses(site.place.base_path, run):
        names = (run.pipeline, status.step, run.keys[status.step])
        found.append((status.step, (status, _result(site, *names)[1])))
    return found


def _result(site: Site, pipeline: str, step: str, key: str) -> tuple[str, Manifest | None]:
    """Return the name of a result, and the result; None if it is missing or unreadable."""
    try:
        manifest = site.place.dataset(pipeline, step, key)
    except FondantError:
        return f"{pipeline}/{step}/{key}", None
    return "/".join(names_of(manifest)), manifest


def _edits(site: Site) -> int:
    site.editing.refresh()
    return len(site.editing.history())
