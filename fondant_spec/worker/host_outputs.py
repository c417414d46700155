"""Outputs for Kubeflow Pipelines: metrics of a finished step, and a page that shows its result."""

import json
from pathlib import Path
from typing import Any, Final

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.spec.executor_options import ExecutorOptions
from fondant_spec.worker.result_page import result_page

METRICS: Final = "metrics"


def write_outputs(options: ExecutorOptions, manifest: Manifest) -> None:
    """Write the outputs that the options request, next to the location of the manifest."""
    if options.executor_input:
        _write_metrics(options.executor_input, manifest)
    if options.report_path:
        _write(options.report_path, result_page(manifest))


def _write_metrics(executor_input: str, manifest: Manifest) -> None:
    """Write the metrics of a finished step to where its pod's launcher reads them.

    Args:
        executor_input: the launcher's message: the artifacts that it expects, and the file from
            which it reads their metadata.
        manifest: of the step.
    """
    outputs = json.loads(executor_input)["outputs"]
    [artifact] = outputs["artifacts"][METRICS]["artifacts"]
    # The artifact's URI must not change: another one fails this step, or the next.
    told = {METRICS: {"artifacts": [{**artifact, "metadata": metrics(manifest)}]}}
    _write(outputs["outputFile"], json.dumps({"artifacts": told}))


def metrics(manifest: Manifest) -> dict[str, Any]:
    """Return the metrics of a finished step: rows, time, and rejects by reason."""
    done = manifest.rows_in or manifest.rows
    rate = {"rows per second": round(done / manifest.seconds, 2)} if manifest.seconds else {}
    return {
        "rows in": manifest.rows_in,
        "rows out": manifest.rows,
        "seconds": manifest.seconds,
        **rate,
        "rejects": sum(manifest.rejects.values()),
        **{f"rejects: {reason}": count for reason, count in sorted(manifest.rejects.items())},
    }


def _write(path: str, text: str) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
