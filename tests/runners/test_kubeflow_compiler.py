"""Compiling for Kubeflow Pipelines: a golden file, and the rules that packages are held against."""

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from fondant_spec.errors import InvalidConfigError, InvalidPipelineError
from fondant_spec.pipeline import Pipeline, Resources
from fondant_spec.runners.kubeflow import Cluster, KubeflowRunner
from fondant_spec.runners.kubeflow.checker import check_package
from fondant_spec.runners.kubeflow.compiler import compile_plan
from fondant_spec.runners.kubeflow.package import documents
from pipeline import build
from pipeline_configs import PipelineConfigs
from tests.runners.plans import CLUSTER, fixed, forked
from tests.small import COMPONENTS

GOLDEN = Path(__file__).parent / "golden" / "small.yaml"


@pytest.fixture(scope="module")
def package() -> str:
    """Return the package of the small pipeline."""
    return compile_plan(fixed(), CLUSTER)


def test_golden(package):
    """The package is the one on record; UPDATE_GOLDEN=1 records another."""
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(package, encoding="utf-8")
    assert package == GOLDEN.read_text(encoding="utf-8")


def test_form(package):
    """The form shows base path, run id and every argument that has a value, typed."""
    pipeline, _ = documents(package)
    parameters = pipeline["root"]["inputDefinitions"]["parameters"]
    assert {n: (p["parameterType"], p["defaultValue"]) for n, p in parameters.items()} == {
        "base_path": ("STRING", "/data/base"),
        "numbers__rows": ("NUMBER_INTEGER", 20),
        "numbers__batch_rows": ("NUMBER_INTEGER", 7),
        "numbers__own_ids": ("BOOLEAN", False),
        "numbers__skip": ("LIST", [3, 7]),
        "double__factor": ("NUMBER_INTEGER", 4),
        "double__reject_odd": ("BOOLEAN", False),
        "double__lexicon": ("STRING", ""),
        "waits__at": ("NUMBER_INTEGER", 0),
        "waits__gate": ("STRING", ""),
        "waits__child": ("BOOLEAN", False),
    }


def test_only_what_computes_gets_a_device(package):
    """The slices of a step get its GPU, node and shared memory; the step that commits does not."""
    pipeline, platform = documents(package)
    containers = pipeline["deploymentSpec"]["executors"]
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    slices = containers["exec-double-slices"]["container"]["resources"]
    assert slices["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert slices["resourceMemoryLimit"] == "8Gi"
    assert pods["exec-double-slices"]["nodeSelector"] == {"labels": {"node_pool": "gpu"}}
    assert pods["exec-double-slices"]["emptyDirMounts"][0]["mountPath"] == "/dev/shm"
    assert "accelerator" not in containers["exec-double-commit"]["container"]["resources"]
    assert "nodeSelector" not in pods["exec-double-commit"]


def test_every_pod_gets_what_the_cluster_gives(package):
    """Volume, secrets by reference, pull policy and pull secrets are on each container."""
    pipeline, platform = documents(package)
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert pods.keys() == pipeline["deploymentSpec"]["executors"].keys()
    for pod in pods.values():
        assert pod["pvcMount"][0]["mountPath"] == "/data"
        assert pod["secretAsEnv"][0]["secretName"] == "hugging-face"
        assert pod["imagePullPolicy"] == "IfNotPresent"
        assert pod["imagePullSecret"][0]["secretName"] == "registry"


def test_the_real_pipeline():
    """pipeline.py compiles as it is, with the CLIP and BLIP steps on the GPU pool."""
    configs = PipelineConfigs(
        BASE_PATH="s3://bucket/base",
        DATASET_NAME="user/seeds",
        INDEX_URL="http://knn.example.com",
        GPU_POOL="a100",
    )
    plan = build(configs).plan("run-1")
    package = compile_plan(plan, Cluster())
    check_package(package, plan)
    pipeline, platform = documents(package)
    pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    on_gpus = {label for label, pod in pods.items() if "nodeSelector" in pod}
    assert on_gpus == {"exec-image-embedding", "exec-caption-images"}
    for label in on_gpus:
        container = pipeline["deploymentSpec"]["executors"][label]["container"]
        assert container["resources"]["accelerator"]["resourceCount"] == "1"
        assert pods[label]["nodeSelector"] == {"labels": {"node_pool": "a100"}}


def test_images_come_from_the_lock_file(tmp_path):
    """A package names the image that was pushed, by its digest."""
    folder = tmp_path / "components" / "numbers"
    (folder / "src").mkdir(parents=True)
    for name in ("fondant_component.yaml", "src/main.py"):
        (folder / name).write_bytes((COMPONENTS / "numbers" / name).read_bytes())
    pipeline = Pipeline("p", "/data")
    pipeline.add(folder)

    def image() -> str:
        found, _ = documents(compile_plan(pipeline.plan("r"), CLUSTER))
        return str(found["deploymentSpec"]["executors"]["exec-numbers"]["container"]["image"])

    assert image() == "fondant/numbers:dev"
    lock, digest = tmp_path / "images.lock", f"sha256:{'a' * 64}"
    lock.write_text(f"# a comment\nnumbers ghcr.io/me/numbers:v1 {digest} - {digest}\n")
    assert image() == "ghcr.io/me/numbers:v1"
    pushed = f"ghcr.io/me/numbers@{digest}"
    lock.write_text(f"numbers ghcr.io/me/numbers:v1 {digest} {pushed} {digest}\n")
    assert image() == pushed
    lock.write_text("numbers ghcr.io/me/numbers:v1\n")
    with pytest.raises(InvalidConfigError, match="line 1: expected component, image, id"):
        image()


def add_task(pipeline: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a task, to be broken."""
    return pipeline["root"]["dag"]["tasks"]["numbers"]


def container(pipeline: dict[str, Any], label: str = "exec-numbers") -> dict[str, Any]:
    """Return a container, to be broken."""
    return pipeline["deploymentSpec"]["executors"][label]["container"]


def pods(platform: dict[str, Any]) -> dict[str, Any]:
    """Return the Kubernetes side of all containers, to be broken."""
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


BREAKAGES: dict[str, tuple[Callable[[Any, Any], object], str]] = {
    "schema": (
        lambda p, _: p.update(schemaVersion="2.0.0"),
        "schemaVersion is '2.0.0', not '2.1.0'",
    ),
    "name": (lambda p, _: p["pipelineInfo"].update(name="Small One"), "its name 'Small One' is"),
    "no tasks": (lambda p, _: p["root"]["dag"].update(tasks={}), "it has no tasks"),
    "unknown field": (
        lambda p, _: add_task(p).update(retries=1),
        'no field named "retries"',
    ),
    "unknown field of a pod": (
        lambda _, k: pods(k)["exec-numbers"].update(nodeSelectors={}),
        "the platform's exec-numbers cannot be read",
    ),
    "no such component": (
        lambda p, _: add_task(p)["componentRef"].update(name="comp-gone"),
        "task numbers refers to a component that is not there",
    ),
    "no such executor": (
        lambda p, _: p["components"]["comp-numbers"].update(executorLabel="exec-gone"),
        "component comp-numbers refers to an executor that is not there: 'exec-gone'",
    ),
    "stray pod": (
        lambda _, k: pods(k).update({"exec-gone": {}}),
        "the platform configures exec-gone, which the pipeline does not have",
    ),
    "caching": (
        lambda p, _: add_task(p).update(cachingOptions={"enableCache": True}),
        "task numbers has Kubeflow's own caching on",
    ),
    "no image": (lambda p, _: container(p).update(image=""), "exec-numbers has no image"),
    "no command": (lambda p, _: container(p).pop("command"), "exec-numbers has no command"),
    "no container": (
        lambda p, _: p["deploymentSpec"]["executors"].update(
            {"exec-numbers": {"importer": {"artifactUri": {"constant": "x"}}}}
        ),
        "exec-numbers is no container",
    ),
    "IfPresent": (
        lambda p, _: container(p)["args"].append('{"IfPresent": {"InputName": "x"}}'),
        "exec-numbers uses IfPresent, which the server does not resolve",
    ),
    "Concat": (
        lambda p, _: container(p)["args"].append('{"Concat": ["--a=", "b"]}'),
        "exec-numbers uses Concat, which the server does not resolve",
    ),
    "parameters": (
        lambda p, _: p["root"]["inputDefinitions"]["parameters"]["base_path"].update(
            defaultValue="x" * 10_000
        ),
        "bytes, more than the 10000 that it keeps",
    ),
    "empty parameter": (
        lambda p, _: p["root"]["inputDefinitions"]["parameters"]["base_path"].pop("defaultValue"),
        "parameter base_path has no value",
    ),
    "lost accelerator": (
        lambda p, _: container(p, "exec-double-slices")["resources"].pop("accelerator"),
        "step double has lost its accelerator, nvidia.com/gpu",
    ),
    "lost selector": (
        lambda _, k: pods(k)["exec-double-slices"].pop("nodeSelector"),
        "step double has lost its node selector, {'node_pool': 'gpu'}",
    ),
    "lost platform": (lambda _, k: k.clear(), "step double has lost its node selector"),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_broken_packages_are_refused(package, name):
    """The checker finds what the server would refuse, or silently lose."""
    breakage, message = BREAKAGES[name]
    pipeline, platform = documents(package)
    check_package(yaml.safe_dump_all([pipeline, platform]), fixed())
    breakage(pipeline, platform)
    with pytest.raises(InvalidPipelineError, match="would refuse the package") as caught:
        check_package(yaml.safe_dump_all([pipeline, platform]), fixed())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found 0, 0 and 0 others"),
        ("a: [", "not valid YAML"),
        ("- 1", "found 0, 0 and 1 others"),
        ("pipelineInfo: {}\n---\npipelineInfo: {}", "found 2, 0 and 0 others"),
        ("pipelineInfo: {}\n---\nplatforms: {}\n---\nplatforms: {}", "found 1, 2 and 0 others"),
    ],
)
def test_files_that_are_no_package(text, message):
    """A file is one pipeline, and at most one platform."""
    with pytest.raises(InvalidPipelineError, match="would refuse") as caught:
        check_package(text, fixed())
    assert message in str(caught.value)


def test_the_runner_compiles(tmp_path):
    """What the runner compiles is that package, checked; what cannot run there is refused."""
    assert KubeflowRunner(CLUSTER).compile(fixed()) == GOLDEN.read_text(encoding="utf-8")
    with pytest.raises(InvalidPipelineError, match="is a folder of this machine, which"):
        KubeflowRunner(CLUSTER).compile(forked(tmp_path).plan())


def test_paths_of_this_machine_are_refused(tmp_path):
    """The base path and the paths in arguments must mean something to the cluster."""
    plan = forked(tmp_path).plan()
    with pytest.raises(InvalidPipelineError, match="is a folder of this machine, which"):
        compile_plan(plan, Cluster())
    compile_plan(plan, Cluster(volume="claim", volume_path=str(tmp_path)))
    pipeline = forked("s3://bucket/base")
    words = tmp_path / "words.txt"
    words.write_text("one")
    pipeline.override("double", "lexicon", str(words))
    with pytest.raises(InvalidPipelineError) as caught:
        compile_plan(pipeline.plan(), Cluster())
    assert str(caught.value) == (
        f"double: lexicon is {words}, a path of this machine, which the cluster cannot see; name a "
        "model or dataset of the hub, or a path in the volume."
    )


def test_names_that_kubeflow_takes_for_equal():
    """Two ids that differ in their dashes would be one task."""
    pipeline = Pipeline("p", "s3://bucket")
    pipeline.add(COMPONENTS / "numbers", step_id="a-b")
    pipeline.add(COMPONENTS / "numbers", step_id="a_b")
    with pytest.raises(InvalidPipelineError, match="differ in `-` and `_` only"):
        compile_plan(pipeline.plan(), Cluster())


def test_a_load_cannot_be_spread():
    """There are no partitions before a load, so there is nothing to spread."""
    pipeline = Pipeline("p", "s3://bucket")
    pipeline.add(COMPONENTS / "numbers", fan_out=2)
    with pytest.raises(InvalidPipelineError, match="numbers: a component that loads reads one"):
        compile_plan(pipeline.plan(), Cluster())


def test_retries_and_timeouts():
    """A step is tried again, and ended, as its resources say."""
    pipeline = Pipeline("p", "s3://bucket")
    pipeline.add(COMPONENTS / "numbers", resources=Resources(retries=0))
    pipeline.add(COMPONENTS / "numbers", resources=Resources(retries=5, timeout=60))
    found, platform = documents(compile_plan(pipeline.plan(), Cluster()))
    tasks = found["root"]["dag"]["tasks"]
    assert "retryPolicy" not in tasks["numbers"]
    assert tasks["numbers-2"]["retryPolicy"]["maxRetryCount"] == 5
    assert pods(platform)["exec-numbers-2"]["activeDeadlineSeconds"] == "60"


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("KUBEFLOW_VOLUME", "sd data", "KUBEFLOW_VOLUME must be CLAIM or CLAIM:/MOUNT/PATH"),
        ("KUBEFLOW_VOLUME", "claim:data", "KUBEFLOW_VOLUME must be CLAIM or CLAIM:/MOUNT/PATH"),
        ("KUBEFLOW_SECRETS", "HF_TOKEN=hf_abc", "this is not: HF_TOKEN=***"),
        ("KUBEFLOW_SECRETS", "hf_abc", "this is not: ***"),
        ("KUBEFLOW_PULL_POLICY", "Sometimes", "must be one of Always, IfNotPresent, Never"),
        ("KUBEFLOW_INTERVAL", "soon", "must be a number of seconds from 0 to 3600"),
        ("KUBEFLOW_INTERVAL", "nan", "must be a number of seconds from 0 to 3600"),
        ("KUBEFLOW_INTERVAL", "-1", "must be a number of seconds from 0 to 3600"),
    ],
)
def test_malformed_settings(variable, text, message):
    """A variable that cannot be read is an error that shows how to write it."""
    with pytest.raises(InvalidConfigError) as caught:
        Cluster.from_settings({variable: text})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("env:MINE", r"secret is env:MINE, .* add MINE=SECRET/KEY to KUBEFLOW_SECRETS"),
        ("file:/home/me/secret", r"secret is file:/home/me/secret, a file of this machine"),
    ],
)
def test_a_secret_that_the_pods_do_not_get(secret, message):
    """An argument that names a secret is held against what the cluster gives."""
    pipeline = Pipeline("small", "s3://bucket/base")
    numbers = pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "leak", after=numbers, arguments={"secret": secret})
    plan = pipeline.plan("run-1")
    with pytest.raises(InvalidPipelineError, match=message):
        compile_plan(plan, Cluster())
    assert secret in compile_plan(
        plan, Cluster(secrets={"MINE": ("mine", "key")}, volume="v", volume_path="/home/me")
    )


def test_settings():
    """All that a cluster is told can come from the settings, whose defaults are its own."""
    settings = {
        "HOST": "http://kfp",
        "KUBEFLOW_VOLUME": "sd-data:/mnt/data",
        "KUBEFLOW_SECRETS": "HF_TOKEN=hf/token, AWS_SECRET_ACCESS_KEY=store/secret",
        "KUBEFLOW_PULL_POLICY": "Always",
        "KUBEFLOW_PULL_SECRETS": "one,two",
        "KUBEFLOW_NAMESPACE": "team",
        "KUBEFLOW_EXPERIMENT": "seeds",
        "KUBEFLOW_SERVICE_ACCOUNT": "editor",
    }
    assert Cluster.from_settings(settings) == Cluster(
        host="http://kfp",
        volume="sd-data",
        volume_path="/mnt/data",
        secrets={"HF_TOKEN": ("hf", "token"), "AWS_SECRET_ACCESS_KEY": ("store", "secret")},
        pull_policy="Always",
        pull_secrets=("one", "two"),
        namespace="team",
        experiment="seeds",
        service_account="editor",
    )
    assert Cluster.from_settings({"HOST": "x"}) == Cluster(host="x")
    assert Cluster.from_settings(asdict(PipelineConfigs(HOST="x"))) == Cluster(host="x")


def test_each_run_has_an_id_of_its_own(package):
    """A clone, or a run of a schedule, does not pass for the run that was submitted first."""
    pipeline, _ = documents(package)
    found = [
        task["inputs"]["parameters"]["run_id"]["runtimeValue"]["constant"]
        for holder in (pipeline["root"], *pipeline["components"].values())
        for task in holder.get("dag", {}).get("tasks", {}).values()
        if "run_id" in task.get("inputs", {}).get("parameters", {})
    ]
    assert len(found) > 3
    assert set(found) == {"{{$.pipeline_job_uuid}}"}
