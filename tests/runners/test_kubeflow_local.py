"""Compiled packages, loaded from their files, under Kubeflow Pipelines' own local Docker runner."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from demo.host import serving
from demo.run import adapt, configure, prepared
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.pipeline import Pipeline
from fondant_spec.runners import LocalRunner
from fondant_spec.runners.kubeflow import Cluster, KubeflowRunner
from pipeline import build
from tests.runners.conftest import ROOT, assert_same_rows, call, final
from tests.runners.plans import forked
from tests.small import rows

pytestmark = pytest.mark.docker


def run_package(pipeline: Pipeline, folder: Path, *options: str) -> None:
    """Compile a pipeline, and run the file under Kubeflow's local runner."""
    package = folder / "package.yaml"
    runner = KubeflowRunner(Cluster(volume="claim", volume_path=str(folder)))
    package.write_text(runner.compile(pipeline.plan()), encoding="utf-8")
    words = (sys.executable, "-m", "tests.runners.kfp_local", str(package), str(folder), *options)
    call(*words, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})


def manifests(base: Path) -> dict[str, Manifest]:
    """Return the manifest of each step."""
    found = sorted((base / "small_one").glob("*/*/manifest.json"))
    return {file.parents[1].name: Manifest.read(str(file)) for file in found}


@pytest.mark.usefixtures("small_images")
def test_the_same_with_fan_out(tmp_path):
    """Branches, their join, and steps spread over pods give the bytes of a run without them."""
    run_package(forked(tmp_path / "base", fan_out=3), tmp_path)
    found = manifests(tmp_path / "base")
    here = {
        result.step_id: result.manifest
        for result in LocalRunner().run(forked(tmp_path / "b", fan_out=1).plan(), lambda _: None)
    }
    assert found.keys() == here.keys()
    for step, manifest in here.items():
        assert [p.sha256 for p in found[step].partitions] == [p.sha256 for p in manifest.partitions]
        assert (found[step].rows_in, found[step].rejects) == (manifest.rows_in, manifest.rejects)
        assert rows(found[step]) == rows(manifest)
    assert len(here["double"].partitions) == 5


@pytest.mark.usefixtures("small_images")
def test_parameters_of_the_form(tmp_path):
    """What is changed in the form reaches the component, typed."""
    form = {
        "main_1_numbers__rows": 6,
        "main_1_numbers__skip": [],
        "more_3_double__reject_odd": True,
        "more_4_waits__gate": "",
    }
    run_package(forked(tmp_path / "base", fan_out=1), tmp_path, "--parameters", json.dumps(form))
    found = manifests(tmp_path / "base")
    assert found["numbers"].rows == 6
    assert found["double"].rejects == {"odd": 3}


@pytest.mark.usefixtures("small_images")
def test_what_the_host_shows(tmp_path):
    """Each step has its metrics, the last one a page; odd texts arrive letter by letter."""
    odd = "two\nlines\r, \x85 \u2028 \x01 \x7f é \U0001f408 'quoted' \"twice\" $HOME `id` {a} %"
    pipeline = forked(tmp_path / "base")
    pipeline.override("double", "lexicon", odd)
    further = json.dumps({"main_3_double__factor": 5, "more_3_double__further_arguments": {}})
    run_package(pipeline, tmp_path, "--parameters", further)
    found = manifests(tmp_path / "base")
    assert found["double"].key_parts["arguments"] == {
        "factor": 5,
        "reject_odd": False,
        "lexicon": odd,
    }
    told = [json.loads(file.read_text()) for file in tmp_path.glob("kfp/**/executor_output.json")]
    metrics = [
        artifact["metadata"]
        for one in told
        for artifact in one["artifacts"]["metrics"]["artifacts"]
    ]
    assert len(metrics) == len(found) == 5
    assert {"rows in": 18, "rows out": 18} in [
        {name: one[name] for name in ("rows in", "rows out")} for one in metrics
    ]
    [page] = tmp_path.glob("kfp/**/report")
    assert "<td>first_of_each<td" in page.read_text(encoding="utf-8")


def spread_demo(base: Path, inputs: Path | None = None) -> Pipeline:
    """Return the demo with few images and slow steps that are spread, on a copy of its inputs."""
    configs = prepared(configure({"BASE_PATH": str(base)}))
    if inputs:
        for name in ("DATASET_NAME", "CLIP_MODEL", "INDEX", "CAPTION_MODEL"):
            folder = Path(getattr(configs, name))
            copy = shutil.copytree(folder, inputs / folder.name)
            configs = replace(configs, **{name: str(copy)})
    pipeline = adapt(build(configs))
    pipeline.override("laion_retrieval", "num_images", "5")
    pipeline.change("laion_retrieval", rows_per_partition=40)
    pipeline.change("download_images", fan_out=2)
    pipeline.change("caption_images", fan_out=3)
    return pipeline


@pytest.mark.usefixtures("images")
@pytest.mark.timeout(1200)
def test_demo(tmp_path):
    """The demo's package, with its slow steps spread over pods, gives the same rows as without."""
    with serving():
        run_package(spread_demo(tmp_path / "base", tmp_path), tmp_path, "--network", "host")
        LocalRunner().run(spread_demo(tmp_path / "here").plan(), lambda _: None)
    found = [rows(final(tmp_path / base)) for base in ("base", "here")]
    assert len(found[0]) > 50
    assert_same_rows(*found)
