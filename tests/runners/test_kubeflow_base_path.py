"""A run on Kubeflow whose base path this machine can access, as from a notebook in the cluster."""

import re
from pathlib import Path

import pytest

from fondant_spec.dataset import run_references
from fondant_spec.dataset.layout import PipelineFolder, StepFolder
from fondant_spec.pipeline import Pipeline
from fondant_spec.runners import LocalRunner
from fondant_spec.runners.kubeflow import KubeflowRunner
from tests.runners.kfp_answers import Look
from tests.runners.kfp_server import KfpServer, serving
from tests.runners.kubeflow_runs import cluster
from tests.small import COMPONENTS


def chain(base: Path) -> Pipeline:
    """Return a pipeline of three steps and five partitions."""
    pipeline = Pipeline("chain", base)
    numbers = pipeline.add(
        COMPONENTS / "numbers", arguments={"rows": 20}, rows_per_partition=4, workers=1
    )
    odd = {"reject_odd": True}
    double = pipeline.add(COMPONENTS / "double", after=numbers, arguments=odd, workers=1)
    pipeline.add(COMPONENTS / "write_lines", after=double, consumes={"n": "double"})
    return pipeline


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a base path on which the pipeline has run."""
    folder = tmp_path_factory.mktemp("base")
    LocalRunner().run(chain(folder).plan("run-1"), lambda _: None)
    return folder


def follow(base: Path, looks: list[Look], say: list[str] | None = None) -> list[str]:
    """Return what is said of a run whose steps refer to what is on the base path."""
    plan, said = chain(base).plan("run-2"), [] if say is None else say

    def begin(run_id: str) -> None:
        folder = PipelineFolder.of(plan.base_path, plan.pipeline_name)
        for planned in plan.steps:
            run_references.note(folder, run_id, planned.id, planned.cache_key)

    with serving(KfpServer(looks)) as server:
        server.starts = begin
        volume = {"volume": "data", "volume_path": str(base)}
        KubeflowRunner(cluster(server, **volume)).run(plan, said.append)
    return said


def test_what_is_seen_at_the_end(base):
    """Before: that nothing is left to do. After: rows, rejects, and where they were written."""
    done = {"numbers": "SUCCEEDED", "double": "SUCCEEDED"}
    said = follow(base, [Look("SUCCEEDED", done)])
    [file] = base.glob("chain/write_lines/*/output/*")
    assert said[1] == (
        "all 3 steps are done already, 10 rows; the run finds that out in about 60 s, since each "
        "step starts its pods"
    )
    assert said[3:5] == [
        "[numbers] succeeded: 20 rows",
        "[double] succeeded: 10 rows, 10 rejects (odd 10)",
    ]
    assert said[5] == (
        f"succeeded in 4 min: 10 rows, 10 rejects (odd 10), at {file}. Look at it, where the "
        f"volume claim data is mounted: fondant-spec show chain/write_lines --base-path {base}"
    )


def test_rows_of_a_running_step(base):
    """Of a running step the rows of finished partitions are told, with rate and time left."""
    [manifest] = base.glob("chain/double/*/manifest.json")
    folder = StepFolder(str(manifest.parent))
    checkpoints = {file: file.read_text() for file in sorted(Path(folder.checkpoints).iterdir())}
    assert len(checkpoints) == 5
    text = manifest.read_text()
    for file in [manifest, *checkpoints]:
        file.unlink()
    ready = iter(checkpoints.items())

    class Said(list[str]):
        """Finishes a partition with each line on the step."""

        def append(self, line: str) -> None:
            super().append(line)
            if line.startswith("[double]") and (finished := next(ready, None)):
                finished[0].write_text(finished[1])

    running = Look("RUNNING", {"numbers": "SUCCEEDED", "double": "RUNNING"})
    said = follow(base, [running] * 30 + [Look("SUCCEEDED")], Said())
    manifest.write_text(text)
    told = [line for line in said if line.startswith("[double] ")]
    assert told[0] == "[double] running"
    assert re.fullmatch(r"\[double\] 4/20, \d+ s, 50.0 % ok \(2 lost\)", told[1])
    assert re.fullmatch(r"\[double\] 8/20, [\d.]+/s, \d+ s left, 50.0 % ok \(4 lost\)", told[2])
