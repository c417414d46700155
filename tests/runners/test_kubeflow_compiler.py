"""Compiling for Kubeflow Pipelines: a golden file, and the rules that packages are held against."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp.components import load_component_from_text

from examples.train_and_evaluate import with_training
from fondant_spec.errors import InvalidConfigError, InvalidPipelineError
from fondant_spec.pipeline import Pipeline, Resources
from fondant_spec.runners.kubeflow import Cluster, KubeflowRunner
from fondant_spec.runners.kubeflow.checker import check_package
from fondant_spec.runners.kubeflow.compiler import compile_plan
from fondant_spec.runners.kubeflow.package import documents
from fondant_spec.spec.component_spec import ComponentSpec
from pipeline import build, main
from pipeline_configs import PipelineConfigs
from tests.runners.plans import CLUSTER, fixed, forked
from tests.small import COMPONENTS

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "small.yaml"


CONFIGS = PipelineConfigs(
    BASE_PATH="s3://bucket/base", DATASET_NAME="user/seeds", INDEX_URL="http://knn.example.com"
)


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
    """It begins with what the pipeline sets; a step that is spread has one field for the rest."""
    pipeline, _ = documents(package)
    parameters = pipeline["root"]["inputDefinitions"]["parameters"]
    shown = {n: (p["parameterType"], p["defaultValue"]) for n, p in sorted(parameters.items())}
    assert list(shown.items()) == [
        ("base_path", ("STRING", "/data/base")),
        ("main_1_numbers__rows", ("NUMBER_INTEGER", 20)),
        ("main_1_numbers__skip", ("LIST", [3, 7])),
        ("main_3_double__factor", ("NUMBER_INTEGER", 4)),
        ("more_1_numbers__batch_rows", ("NUMBER_INTEGER", 7)),
        ("more_1_numbers__fail_at", ("STRING", "")),
        ("more_1_numbers__own_ids", ("BOOLEAN", False)),
        ("more_3_double__further_arguments", ("STRUCT", {})),
        ("more_4_waits__at", ("NUMBER_INTEGER", 0)),
        ("more_4_waits__child", ("BOOLEAN", False)),
        ("more_4_waits__gate", ("STRING", "")),
        ("more_5_first_of_each__further_arguments", ("STRUCT", {})),
    ]
    assert "more_* the defaults of its components" in pipeline["pipelineInfo"]["description"]


def test_choices_and_no_value():
    """What is one of a few is a drop-down; None is an empty text, which blocks no start."""
    package = KubeflowRunner(Cluster()).compile(build(CONFIGS).plan("run-1"))
    parameters = documents(package)[0]["root"]["inputDefinitions"]["parameters"]
    layout = parameters["main_6_export_dataset__layout"]
    assert layout["literals"][:3] == ["imagefolder", "kohya", "musubi-tuner"]
    assert parameters["main_5_caption_images__keep_existing"]["literals"] == [True, False]
    for name in ("trigger_word", "num_beams"):
        field = parameters[f"main_5_caption_images__{name}"]
        assert (field["parameterType"], field["defaultValue"]) == ("STRING", "")
    stated = sum(len(p.arguments) for p in build(CONFIGS).plan("run-1").steps)
    assert len(parameters) == 1 + stated


def test_every_step_tells_of_itself(package):
    """Each has metrics, its slices have not; the last one has a page. The run's id is its own."""
    pipeline, _ = documents(package)
    made: dict[str, set[str]] = {}
    for name, component in pipeline["components"].items():
        if "executorLabel" in component:
            artifacts = component["outputDefinitions"].get("artifacts", {})
            kinds = {one["artifactType"]["schemaTitle"] for one in artifacts.values()}
            made[name.removeprefix("comp-")] = kinds
    metrics = {"system.Metrics"}
    assert made == {
        "numbers": metrics,
        "keep-even": metrics,
        "double-slices": set(),
        "double-commit": metrics,
        "waits": metrics,
        "first-of-each-slices": set(),
        "first-of-each-commit": metrics | {"system.HTML"},
    }
    words = container(pipeline)["args"]
    assert words[words.index("--executor_input") + 1] == "{{$}}"


def test_texts_that_yaml_finds_hard():
    """They are in the package letter by letter, as the SDK reads it, too."""
    text = "# a\n- b\r\nc: \x85\u2028\u2029 \x01\x1b\x7f \ufffe\ufeff\U0001f408\t'\"%"
    pipeline = Pipeline("p", "s3://bucket")
    numbers = pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "double", after=numbers, arguments={"lexicon": text})
    package = KubeflowRunner(Cluster()).compile(pipeline.plan("r"))
    parameters = documents(package)[0]["root"]["inputDefinitions"]["parameters"]
    assert parameters["main_2_double__lexicon"]["defaultValue"] == text
    loaded = load_component_from_text(package).pipeline_spec
    defaults = loaded.root.input_definitions.parameters["main_2_double__lexicon"].default_value
    assert defaults.string_value == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a {{workflow.name}}", "double: lexicon holds '{{', in place of which Argo may put"),
        ("a $(HOME)", "double: lexicon holds '$(', in place of which Kubernetes may put"),
        ("5 $$", "double: lexicon holds '$$', in place of which Kubernetes may put"),
        ("\ud83d", "double: lexicon holds '\\ud83d', half a character that no text can hold."),
    ],
)
def test_texts_that_would_not_arrive(text, message):
    """What the cluster would put something else in place of is refused, with step and argument."""
    pipeline = Pipeline("p", "s3://bucket")
    numbers = pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "double", after=numbers, arguments={"lexicon": text})
    with pytest.raises(InvalidPipelineError) as caught:
        compile_plan(pipeline.plan(), Cluster())
    assert str(caught.value).startswith(message)


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


def test_every_pod_is_a_good_tenant():
    """Each asks for CPU and memory, is not root, and has the plain variables and the labels."""
    cluster = replace(
        CLUSTER,
        variables={"HF_HOME": "/data/models", "AWS_ENDPOINT_URL": "http://minio:9000"},
        labels={"team": "vision"},
    )
    pipeline, platform = documents(compile_plan(fixed(), cluster))
    for label, pod in pods(platform).items():
        asked = container(pipeline, label)["resources"]
        assert asked["resourceCpuRequest"]
        assert asked["resourceMemoryRequest"]
        assert pod["securityContext"] == {"runAsNonRoot": True}
        assert pod["podMetadata"]["labels"] == {"team": "vision"}
        variables = {one["name"]: one["value"] for one in container(pipeline, label)["env"]}
        assert variables["HF_HOME"] == "/data/models"
        assert variables["AWS_ENDPOINT_URL"] == "http://minio:9000"
        assert variables["TQDM_DISABLE"] == "1"
    _, platform = documents(compile_plan(fixed(), replace(CLUSTER, run_as_user=1000)))
    for pod in pods(platform).values():
        assert pod["securityContext"] == {"runAsNonRoot": True, "runAsUser": "1000"}


def test_what_a_step_asks_for_can_be_set(tmp_path, monkeypatch):
    """A step's CPU and memory come from its component's spec, until a command line says more."""
    monkeypatch.setenv("DATASET_NAME", "user/seeds")
    monkeypatch.setenv("INDEX_URL", "http://knn.example.com")

    def asked(*words: str) -> dict[str, Any]:
        file = tmp_path / "package.yaml"
        assert main(["--base-path", "s3://bucket/base", "--compile-only", str(file), *words]) == 0
        found, _ = documents(file.read_text())
        step = container(found, "exec-download-images")
        told = {one["name"]: one["value"] for one in step["env"] if "value" in one}
        assert told["OMP_NUM_THREADS"] == told["LOKY_MAX_CPU_COUNT"]
        resources = {k: v for k, v in step["resources"].items() if k.startswith("resource")}
        return resources | {"workers": told["LOKY_MAX_CPU_COUNT"]}

    stated = ComponentSpec.from_file(ROOT / "components" / "download_images").resources
    assert asked() == {
        "resourceCpuRequest": stated.cpu,
        "resourceMemoryRequest": stated.memory,
        "resourceMemoryLimit": stated.memory_limit,
        "workers": stated.cpu,
    }
    more = [f"--set=download_images.@{setting}" for setting in ("cpu=7500m", "memory=64Gi")]
    assert asked(*more, "--set=download_images.@cpu_limit=16") == {
        "resourceCpuRequest": "7500m",
        "resourceCpuLimit": "16",
        "resourceMemoryRequest": "64Gi",
        "resourceMemoryLimit": "64Gi",
        "workers": "8",
    }


def test_the_real_pipeline():
    """pipeline.py compiles as it is, with the CLIP and BLIP steps on the GPU pool."""
    plan = build(replace(CONFIGS, GPU_POOL="a100")).plan("run-1")
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


def test_the_whole_way():
    """The longest of our pipelines, with all that can be set, has a form that servers keep."""
    every = replace(
        CONFIGS,
        PROMPTS="interior_design",
        NEGATIVE_PROMPT="a drawing",
        CLASS_PROMPT="a photo of a dog",
        CURATE="usual",
    )
    pipeline = with_training(build(every), every, "user/model", grid=True)
    found, _ = documents(KubeflowRunner(Cluster()).compile(pipeline.plan()))
    assert len(found["root"]["dag"]["tasks"]) == len(pipeline.steps) > 15


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
            defaultValue="é" * 33_000
        ),
        "bytes, more than the 65,535 that servers keep; base_path takes 66,002 of them",
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


@pytest.mark.parametrize(
    "path",
    ["./words", "../words", "~/words", "words/of/mine", "file:///home/me/words", "/data/../words"],
)
def test_a_mistyped_path_is_refused_too(path):
    """What can be nothing but a path is refused although nothing is there, here or in a volume."""
    pipeline = forked("/data/base")
    pipeline.override("double", "lexicon", path)
    cluster = Cluster(volume="claim")
    with pytest.raises(InvalidPipelineError, match=f"lexicon is {path}, a path of this machine, "):
        compile_plan(pipeline.plan(), cluster)
    pipeline.override("double", "lexicon", "file:///data/words")
    compile_plan(pipeline.plan(), cluster)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("a-b", "a_b", "a-b"),
        ("a_b", "a__b_", "a-b"),
        ("double_slices", "double", "double-slices"),
        ("double", "double_commit", "double-commit"),
    ],
)
def test_names_that_kubeflow_takes_for_equal(first, second, name):
    """Two steps of one name there would be taken for each other."""
    pipeline = Pipeline("p", "s3://bucket")
    numbers = pipeline.add(COMPONENTS / "numbers")
    for step in (first, second):
        fan_out = 2 if step == "double" else 1
        pipeline.add(COMPONENTS / "double", step_id=step, after=numbers, fan_out=fan_out)
    with pytest.raises(InvalidPipelineError) as caught:
        compile_plan(pipeline.plan(), Cluster())
    assert str(caught.value).startswith(
        f"the steps {first!r} and {second!r} would both have a {name!r} on Kubeflow, which "
    )


@pytest.mark.parametrize("step", ["a__b", "a_", "a--b_-"])
def test_ids_that_kubeflow_shortens(step):
    """A step is found under the name that the SDK makes of its id, and so is a pipeline."""
    pipeline = Pipeline(f"p{step}", "s3://bucket")
    pipeline.add(COMPONENTS / "numbers", step_id=step)
    package = KubeflowRunner(Cluster()).compile(pipeline.plan())
    found, _ = documents(package)
    name = step.rstrip("_-").replace("_", "-").replace("--", "-")
    assert found["root"]["dag"]["tasks"].keys() == {name}
    assert found["pipelineInfo"]["name"] == f"p{name}"


def test_a_load_cannot_be_spread():
    """There are no partitions before a load, so there is nothing to spread."""
    pipeline = Pipeline("p", "s3://bucket")
    pipeline.add(COMPONENTS / "numbers", fan_out=2)
    with pytest.raises(InvalidPipelineError, match="numbers: a component that loads reads one"):
        compile_plan(pipeline.plan(), Cluster())


def test_a_write_cannot_be_spread():
    """A write takes all rows as one stream: its slices would wait for one pod without a GPU."""
    pipeline = Pipeline("p", "s3://bucket")
    given = {"dataset_name": "user/pairs"}
    pipeline.add(
        ROOT / "components" / "load_from_hub", arguments=given, produces={"caption": "string"}
    )
    given = {"model_id": "user/model"}
    pipeline.add(
        ROOT / "components" / "fine_tune", after="load_from_hub", arguments=given, fan_out=2
    )
    with pytest.raises(InvalidPipelineError, match="fine_tune: a component that writes reads one"):
        compile_plan(pipeline.plan(), Cluster())


def test_many_slices():
    """A slice repeats little; many of them are told, and more than a run can hold refused."""
    pipeline, runner = build(CONFIGS), KubeflowRunner(Cluster())
    pipeline.change("download_images", fan_out=25)
    plan = pipeline.plan()
    assert not any("slices" in line for line in runner.doubts(plan))
    found, _ = documents(runner.compile(plan))
    repeated = [
        found["components"]["comp-download-images-slices"],
        found["deploymentSpec"]["executors"]["exec-download-images-slices"],
    ]
    assert len(json.dumps(repeated)) < 2000
    pipeline.change("caption_images", fan_out=2)
    assert [line for line in runner.doubts(pipeline.plan()) if line.startswith("27 slices: ")]
    pipeline.change("caption_images", fan_out=476)
    with pytest.raises(InvalidPipelineError, match="501 slices are more than one run of Kubeflow"):
        runner.compile(pipeline.plan())


def test_retries_and_timeouts():
    """A step is tried again, and ended, as its resources say."""
    pipeline = Pipeline("p", "s3://bucket")
    pipeline.add(COMPONENTS / "numbers", resources=Resources(retries=0))
    wanted = Resources(retries=5, backoff=600, timeout=60)
    pipeline.add(COMPONENTS / "numbers", resources=wanted)
    found, platform = documents(compile_plan(pipeline.plan(), Cluster()))
    tasks = found["root"]["dag"]["tasks"]
    assert "retryPolicy" not in tasks["numbers"]
    policy = tasks["numbers-2"]["retryPolicy"]
    assert (policy["maxRetryCount"], policy["backoffDuration"]) == (5, "600s")
    assert policy["backoffMaxDuration"] == "600s"
    assert pods(platform)["exec-numbers-2"]["activeDeadlineSeconds"] == "60"


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("KUBEFLOW_VOLUME", "sd data", "KUBEFLOW_VOLUME must be CLAIM or CLAIM:/MOUNT/PATH"),
        ("KUBEFLOW_VOLUME", "claim:data", "KUBEFLOW_VOLUME must be CLAIM or CLAIM:/MOUNT/PATH"),
        ("KUBEFLOW_VOLUME", "claim:/data:ro", "KUBEFLOW_VOLUME must be CLAIM or CLAIM:/MOUNT/PATH"),
        ("KUBEFLOW_VOLUME", "claim:/", "KUBEFLOW_VOLUME would hide / of the images; mount it "),
        ("KUBEFLOW_VOLUME", "claim:/x/../component/", "would hide /x/../component/ of the images"),
        (
            "KUBEFLOW_SECRETS",
            "A=s/k,A=t/k",
            "KUBEFLOW_SECRETS names A twice; leave one of them out",
        ),
        ("KUBEFLOW_SECRETS", "HF_TOKEN=hf_abc", "this is not: HF_TOKEN=***"),
        ("KUBEFLOW_SECRETS", "hf_abc", "this is not: ***"),
        ("KUBEFLOW_ENV", "http://minio", "KUBEFLOW_ENV must be NAME=value, separated by commas"),
        ("KUBEFLOW_ENV", "A=1,A=2", "KUBEFLOW_ENV names A, which is given twice"),
        ("KUBEFLOW_ENV", "HF_TOKEN=hf_abc", "put it in a secret, and name that: KUBEFLOW_SECRETS"),
        (
            "KUBEFLOW_ENV",
            "HTTPS_PROXY=http://me:pw@proxy",
            "KUBEFLOW_SECRETS=HTTPS_PROXY=SECRET/KE",
        ),
        ("KUBEFLOW_LABELS", "team", "KUBEFLOW_LABELS must be key=value as Kubernetes takes them"),
        ("KUBEFLOW_LABELS", "team=a b", "this is not: 'team=a b'"),
        ("KUBEFLOW_RUN_AS_USER", "0", "must be a uid above 0, not '0'; steps do not run as root."),
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
        "KUBEFLOW_ENV": "NO_PROXY=.local,10.0.0.0/8,HF_ENDPOINT=https://mirror/?a=b",
        "KUBEFLOW_LABELS": "team=vision, example.com/cost-center=42",
        "KUBEFLOW_RUN_AS_USER": "1000",
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
        variables={"NO_PROXY": ".local,10.0.0.0/8", "HF_ENDPOINT": "https://mirror/?a=b"},
        labels={"team": "vision", "example.com/cost-center": "42"},
        run_as_user=1000,
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
