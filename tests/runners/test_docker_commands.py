"""The Docker runner's commands: what a container sees, and what it may do."""

import os
import re
import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from fondant_spec.errors import InvalidConfigError, InvalidPipelineError
from fondant_spec.pipeline import Pipeline, Resources
from fondant_spec.runners import DockerRunner
from fondant_spec.runners.container_engine import Engine, find_engine
from fondant_spec.runners.container_view import folders_of_caches
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.quantities import quantity
from tests.small import COMPONENTS

ENGINE = Engine("docker", "1000:1000", cpus=2, environment={"HF_HOME": "/models"})


def argv(pipeline: Pipeline, step: str, engine: Engine = ENGINE) -> list[str]:
    """Return the command of a step."""
    plan = pipeline.plan("run-1")
    commands = DockerRunner(engine, str(Path(plan.base_path).parent / "own")).compile(plan)
    return next(list(c.argv) for c in commands if c.step_id == step)


def mounts(words: list[str]) -> list[str]:
    """Return the mounts of a command."""
    return [after for word, after in pairwise(words) if word == "--mount"]


def value(words: list[str], option: str) -> str | None:
    """Return the word after an option."""
    return words[words.index(option) + 1] if option in words else None


@pytest.fixture
def pipeline(tmp_path):
    """Return a pipeline of a load."""
    pipeline = Pipeline("small", tmp_path / "base")
    pipeline.add(COMPONENTS / "numbers")
    return pipeline


def test_whole_command(pipeline, tmp_path):
    """A container runs as the caller without capabilities, and sees what it needs by its path."""
    assert shlex.join(argv(pipeline, "numbers")).replace(str(tmp_path), "TMP") == (
        "docker run --rm --interactive --name fondant-run-1-numbers --init --user 1000:1000 "
        "--cap-drop ALL --security-opt no-new-privileges "
        "--env FONDANT_PROGRESS --env FONDANT_LIFELINE "
        "--mount type=bind,source=/models,target=/cache/huggingface "
        "--mount type=bind,source=TMP/base,target=TMP/base "
        "--mount type=bind,source=TMP/own/numbers,target=TMP/own/numbers "
        "fondant/numbers:dev python /component/src/main.py --base_path TMP/base "
        "--pipeline_name small --step_id numbers --run_id run-1 "
        "--output_manifest_path TMP/own/numbers/output_manifest_path "
        "--step_retries 2 --rows 10 --batch_rows 7 --own_ids false --skip '[]'"
    )


def readable(pipeline: Pipeline, step: str, engine: Engine = ENGINE) -> list[str]:
    """Return what a step sees of this machine and cannot write."""
    found = [m for m in mounts(argv(pipeline, step, engine)) if m.endswith(",readonly")]
    return [m.split("source=")[1].split(",target=")[0] for m in found]


def test_a_file_in_an_argument(pipeline, tmp_path):
    """Of a file its container sees nothing but the file, under the same path."""
    (tmp_path / "a, b").mkdir()
    lexicon = tmp_path / "a, b" / "lexicon.txt"
    for file in (lexicon, lexicon.with_name("secret")):
        file.write_text("one")
    pipeline.add(COMPONENTS / "double", after="numbers", arguments={"lexicon": str(lexicon)})
    found = [m for m in mounts(argv(pipeline, "double")) if m.endswith("readonly")]
    assert found == [f'type=bind,"source={lexicon}","target={lexicon}",readonly']


def test_a_folder_in_an_argument(pipeline, tmp_path):
    """Of a folder it sees the folder; links that lead out of it lead nowhere, which is told."""
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "one").write_text("one")
    (folder / "inside").symlink_to("one")
    pipeline.add(COMPONENTS / "double", after="numbers", arguments={"lexicon": str(folder)})
    assert readable(pipeline, "double") == [str(folder)]
    runner = DockerRunner(ENGINE, str(tmp_path / "own"))
    assert runner.compile(pipeline.plan())[1].notes == ()
    (folder / "hosts").symlink_to("/etc/hosts")
    assert readable(pipeline, "double") == [str(folder)]
    assert runner.compile(pipeline.plan())[1].notes == (
        f"lexicon: links in {folder} that lead out of it lead nowhere there",
    )


@pytest.mark.parametrize("names_file", [True, False])
def test_a_snapshot_of_the_hugging_face_cache(pipeline, tmp_path, names_file):
    """The blobs that a snapshot's links lead to are seen with it, and no other folder."""
    repository = tmp_path / "hub" / "models--user--words"
    snapshot, blobs = repository / "snapshots" / "abc", repository / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "123").write_text("one")
    (snapshot / "lexicon.txt").symlink_to("../../blobs/123")
    named = snapshot / "lexicon.txt" if names_file else snapshot
    pipeline.add(COMPONENTS / "double", after="numbers", arguments={"lexicon": str(named)})
    assert readable(pipeline, "double") == [str(blobs), str(named)]
    assert DockerRunner(ENGINE, str(tmp_path)).compile(pipeline.plan())[1].notes == ()


def test_links_to_the_system_are_not_followed(pipeline, tmp_path):
    """A folder that only looks like a snapshot cannot bring in a folder of the system."""
    snapshot = tmp_path / "models--user--words" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "blobs").symlink_to("/etc")
    (snapshot / "passwd").symlink_to("/etc/passwd")
    pipeline.add(COMPONENTS / "double", after="numbers", arguments={"lexicon": str(snapshot)})
    assert readable(pipeline, "double") == [str(snapshot)]


@pytest.mark.parametrize("name", ["/", "/etc", "/usr", "/tmp", "/proc/self", "/component", "/no/a"])
def test_folders_of_the_system_stay_those_of_the_image(pipeline, name):
    """Nothing is mounted over them, nor in the place of a path that does not exist."""
    environment = {"HF_HOME": "/models", "AWS_CONFIG_FILE": name}
    assert readable(pipeline, "numbers", replace(ENGINE, environment=environment)) == []


def test_the_defaults_of_a_spec_mount_nothing(pipeline, tmp_path):
    """A stranger's spec does not choose what a container sees of this machine."""
    private, writable = tmp_path / "private", tmp_path / "writable"
    private.mkdir()
    writable.mkdir()
    spec = ComponentSpec.from_dict(
        {
            "name": "Curious",
            "description": "Reads and writes where it likes.",
            "image": "somebody/curious:1",
            "consumes": {"number": {"type": "int64"}},
            "args": {
                "key": {"type": "str", "default": str(private), "path": True},
                "out": {"type": "str", "default": str(writable), "output": True},
            },
        }
    )
    pipeline.add(spec, after="numbers")
    words = " ".join(argv(pipeline, "curious"))
    assert f"source={private}" not in words
    assert f"source={writable}" not in words
    notes = DockerRunner(ENGINE, str(tmp_path)).compile(pipeline.plan())[1].notes
    assert [
        note.partition(" is the default of the spec, of which nothing")[0] for note in notes
    ] == [
        f"key: {private}",
        f"out: {writable}",
    ]


def test_a_path_that_does_not_exist(pipeline, tmp_path):
    """Of a mistyped path no part is seen, least of all the folder that is there."""
    path = str(tmp_path / "wrods" / "one.txt")
    pipeline.add(COMPONENTS / "double", after="numbers", arguments={"lexicon": path})
    assert readable(pipeline, "double") == []


@pytest.fixture
def table(tmp_path):
    """Return a pipeline that loads a table, and the table."""
    file = tmp_path / "data" / "seeds.csv"
    file.parent.mkdir()
    file.write_text("image\none.jpg\n")
    pipeline = Pipeline("small", tmp_path / "base")
    pipeline.add(
        Path(__file__).parents[2] / "components" / "load_from_hub",
        arguments={"dataset_name": str(file)},
    )
    return pipeline, file


def test_neighbours_are_seen_where_the_spec_asks(table):
    """A table may name images beside it, so its folder is seen with it; but not one's home."""
    pipeline, file = table
    assert readable(pipeline, "load_from_hub") == [str(file.parent), str(file)]
    at_home = replace(ENGINE, environment={"HOME": str(file.parent), "HF_HOME": "/models"})
    assert readable(pipeline, "load_from_hub", at_home) == [str(file)]
    [command] = DockerRunner(at_home, "/tmp/fondant-test-own").compile(pipeline.plan())
    [note] = command.notes
    assert note.startswith(f"dataset_name: only {file} itself is seen, not what lies beside it; ")


def test_wildcards_name_what_is_in_a_folder(table):
    """Of a path with wildcards the folder before them is seen."""
    pipeline, file = table
    pipeline.override("load_from_hub", "dataset_name", f"{file.parent}/*.csv")
    assert readable(pipeline, "load_from_hub") == [str(file.parent)]


def test_places_to_write_to(tmp_path):
    """The place that an output argument names is mounted to be written."""
    root = Path(__file__).parents[2]
    pipeline = Pipeline("small", tmp_path / "base")
    seeds = pipeline.add(
        root / "components" / "load_from_hub",
        arguments={"dataset_name": "user/seeds"},
        produces={"caption": "string"},
    )
    place = tmp_path / "pairs"
    pipeline.add(
        root / "components" / "export_dataset", after=seeds, arguments={"output_path": str(place)}
    )
    assert f"type=bind,source={place},target={place}" in mounts(argv(pipeline, "export_dataset"))


@pytest.fixture
def trained(tmp_path):
    """Return a function that makes a pipeline that draws with what it has trained, and evaluates.

    It is given the arguments of the training.
    """
    components = Path(__file__).parents[2] / "components"
    seeds = tmp_path / "seeds"
    seeds.mkdir()

    def make(**arguments: str) -> Pipeline:
        pipeline = Pipeline("small", tmp_path / "base")
        given = {"dataset_name": str(seeds)}
        produced = {"caption": "string", "base_image": "binary"}
        pipeline.add(components / "load_from_hub", arguments=given, produces=produced)
        pipeline.add(components / "fine_tune", after="load_from_hub", arguments=arguments)
        drawn = {"generated_image": "tuned_image"}
        pipeline.add(components / "generate_images", after="fine_tune", produces=drawn)
        given = {"clip_model_id": str(seeds)}
        pipeline.add(components / "evaluate_images", after="generate_images", arguments=given)
        return pipeline

    return make


def test_what_steps_before_have_written(trained, tmp_path):
    """A step sees the model that one before has trained, and its base; not what all others read."""
    base, place = tmp_path / "a_base", tmp_path / "lora"
    base.mkdir()
    place.mkdir()
    pipeline = trained(model_id=str(base), output_path=str(place))
    assert readable(pipeline, "fine_tune") == [str(base)]
    assert readable(pipeline, "generate_images") == [str(base), str(place)]
    evaluated = readable(pipeline, "evaluate_images")
    assert evaluated == [str(base), str(place), str(tmp_path / "seeds")]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"model_id": "HERE"}, "none"),
        ({"model_id": "user/model"}, None),
        ({"model_id": "HERE", "output_path": "s3://bucket/lora"}, None),
    ],
)
def test_network_for_what_was_trained_before(trained, tmp_path, arguments, expected):
    """What draws with a model reaches what that one was trained on, and where it was written."""
    given = {name: word.replace("HERE", str(tmp_path)) for name, word in arguments.items()}
    pipeline = trained(**given)
    for step in ("fine_tune", "generate_images", "evaluate_images"):
        assert value(argv(pipeline, step), "--network") == expected


def test_variables_are_passed_by_name(pipeline, tmp_path):
    """Credentials come in by their names, so that no secret is in a command; files are mounted."""
    key = tmp_path / "key.json"
    key.write_text("{}")
    environment = {
        "HF_HOME": "/models",
        "HF_TOKEN": "hf_secret",
        "AWS_SECRET_ACCESS_KEY": "aws_secret",
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
        "https_proxy": "http://proxy:3128",
        "HOST": "https://kubeflow",
        "PATH": "/bin",
    }
    words = argv(pipeline, "numbers", replace(ENGINE, environment=environment))
    passed = [after for word, after in pairwise(words) if word == "--env"]
    assert passed == [
        "FONDANT_PROGRESS",
        "FONDANT_LIFELINE",
        "AWS_SECRET_ACCESS_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "HF_TOKEN",
        "https_proxy",
    ]
    assert "secret" not in " ".join(words).replace("AWS_SECRET_ACCESS_KEY", "")
    assert f"type=bind,source={key},target={key},readonly" in mounts(words)


def test_a_secret_that_an_argument_names_is_passed_on(pipeline, tmp_path):
    """A container gets the variable by its name, and the file, of the step that names it."""
    file = tmp_path / "secret"
    file.write_text("hush")
    for name, secret in (("by_name", "env:MINE"), ("by_file", f"file:{file}")):
        given = {"secret": secret}
        pipeline.add(COMPONENTS / "leak", step_id=name, after="numbers", arguments=given)
    engine = replace(ENGINE, environment={"MINE": "hush", "YOURS": "hush"})
    by_name, by_file = (argv(pipeline, name, engine) for name in ("by_name", "by_file"))
    passed = [after for word, after in pairwise(by_name) if word == "--env"]
    assert [name for name in passed if not name.startswith("FONDANT_")] == ["MINE"]
    assert f"type=bind,source={file},target={file},readonly" in mounts(by_file)
    assert "hush" not in " ".join([*by_name, *by_file])


def test_object_stores_are_not_mounted():
    """A base path in an object store is reached by the network."""
    pipeline = Pipeline("small", "s3://bucket/base")
    pipeline.add(COMPONENTS / "numbers")
    plan = pipeline.plan("run-1")
    [command] = DockerRunner(ENGINE, "/tmp/fondant-test-own").compile(plan)
    assert [re.search("source=([^,]*)", m)[1] for m in mounts(list(command.argv))] == [
        "/models",
        "/tmp/fondant-test-own/numbers",
    ]


@pytest.mark.parametrize(
    ("arguments", "resources", "base", "expected"),
    [
        ({"dataset_name": "HERE"}, Resources(), "HERE", "none"),
        ({"dataset_name": "user/seeds"}, Resources(), "HERE", None),
        ({"dataset_name": "s3://bucket/seeds.parquet"}, Resources(), "HERE", None),
        ({"dataset_name": "HERE"}, Resources(), "s3://bucket/base", None),
        ({"dataset_name": "HERE"}, Resources(host_network=True), "HERE", "host"),
        ({"dataset_name": "http://127.0.0.1:80/s.csv"}, Resources(), "HERE", "host"),
        ({"dataset_name": "http://localhost/s.csv"}, Resources(), "HERE", "host"),
        ({"dataset_name": "HERE/*.parquet"}, Resources(), "HERE", "none"),
    ],
)
def test_network(tmp_path, arguments, resources, base, expected):
    """A container has no network unless something that it is given lies beyond this machine."""
    spec = Path(__file__).parents[2] / "components" / "load_from_hub"
    given = {name: word.replace("HERE", str(tmp_path)) for name, word in arguments.items()}
    pipeline = Pipeline("small", base.replace("HERE", str(tmp_path)))
    pipeline.add(spec, arguments=given, resources=resources)
    [command] = DockerRunner(ENGINE, str(tmp_path)).compile(pipeline.plan())
    assert value(list(command.argv), "--network") == expected


def test_resources(pipeline):
    """Limits are those of the step, as far as the machine has them; so are GPUs."""
    wanted = Resources(cpu="8", memory="2Gi", shared_memory="1G", accelerator="nvidia.com/gpu")
    pipeline.change("numbers", resources=wanted)
    words = argv(pipeline, "numbers")
    assert value(words, "--cpus") == "2"
    told = [after for word, after in pairwise(words) if word == "--env" and "=" in after]
    assert told == ["LOKY_MAX_CPU_COUNT=2", "OMP_NUM_THREADS=2"]
    assert value(words, "--memory") == str(2 << 30)
    assert value(words, "--shm-size") == "1000000000"
    assert "--gpus" not in words
    [command] = DockerRunner(ENGINE, "/tmp/fondant-test-own").compile(pipeline.plan())
    assert command.notes == ("no GPU for containers here: runs on the CPU",)
    assert value(argv(pipeline, "numbers", replace(ENGINE, gpus=True)), "--gpus") == "1"
    podman = replace(ENGINE, program="podman", gpus=True)
    words = argv(pipeline, "numbers", podman)
    assert value(words, "--device") == "nvidia.com/gpu=all"
    assert value(words, "--userns") == "keep-id"


@pytest.mark.parametrize(
    ("chosen", "docker", "podman"),
    [
        ("1", "device=1", ["nvidia.com/gpu=1"]),
        ("0, 1", '"device=0,1"', ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]),
        ("0,-1,1", "device=0", ["nvidia.com/gpu=0"]),
        ("3,GPU-ab12,0", '"device=3,GPU-ab12"', ["nvidia.com/gpu=3", "nvidia.com/gpu=GPU-ab12"]),
    ],
)
def test_the_gpus_that_the_caller_has_chosen(pipeline, chosen, docker, podman):
    """On a machine that is shared no step takes a GPU that is not the caller's."""
    pipeline.change("numbers", resources=Resources(accelerator="nvidia.com/gpu", accelerators=2))
    environment = {"HF_HOME": "/models", "CUDA_VISIBLE_DEVICES": chosen}
    engine = replace(ENGINE, gpus=True, environment=environment)
    assert value(argv(pipeline, "numbers", engine), "--gpus") == docker
    words = argv(pipeline, "numbers", replace(engine, program="podman"))
    assert [after for word, after in pairwise(words) if word == "--device"] == podman


@pytest.mark.parametrize(
    ("environment", "folders"),
    [
        ({}, ["/home/me/.cache/huggingface -> /cache/huggingface"]),
        ({"XDG_CACHE_HOME": "/big"}, ["/big/huggingface -> /cache/huggingface"]),
        (
            {"HF_HOME": "/models", "HF_HUB_CACHE": "/hub"},
            ["/hub -> /cache/huggingface/hub", "/models -> /cache/huggingface"],
        ),
        (
            {"HF_HOME": "/models", "HF_HUB_CACHE": "/models"},
            ["/models -> /cache/huggingface", "/models -> /cache/huggingface/hub"],
        ),
    ],
)
def test_the_hugging_face_cache(pipeline, environment, folders):
    """It is mounted from where Hugging Face's own libraries have it outside."""
    words = argv(
        pipeline, "numbers", replace(ENGINE, environment={"HOME": "/home/me"} | environment)
    )
    found = re.findall(r"source=(\S+),target=(/cache\S+)", " ".join(mounts(words)))
    assert [f"{source} -> {target}" for source, target in found] == folders


def test_folders_to_mount_caches_over_are_the_callers(tmp_path):
    """They are made before: an engine makes what is missing, and root would own it."""
    outside = {"HF_HOME": str(tmp_path / "models"), "HF_HUB_CACHE": str(tmp_path / "hub")}
    engine = replace(ENGINE, environment=outside)
    assert {*folders_of_caches(engine)} == {*outside.values(), str(tmp_path / "models" / "hub")}


def test_certificates_of_ones_own(pipeline, tmp_path):
    """What a company's proxy signs with is trusted in a container as it is outside."""
    file = tmp_path / "ca.pem"
    file.touch()
    names = ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"]
    environment = {"HF_HOME": "/models", "all_proxy": "http://p"} | dict.fromkeys(names, str(file))
    words = argv(pipeline, "numbers", replace(ENGINE, environment=environment))
    passed = [after for word, after in pairwise(words) if word == "--env"]
    assert passed[2:] == [*names, "all_proxy"]
    assert f"type=bind,source={file},target={file},readonly" in mounts(words)


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2), ("500m", 0.5), ("8Gi", 8 << 30), ("1.5G", 1.5e9), ("64Ki", 65536)],
)
def test_quantities(text, number):
    """Quantities are read as Kubernetes reads them."""
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "8GB", "-1", "lots", "1 Gi", "1e3"])
def test_no_quantities(text):
    """What is no quantity is refused where it is written, before anything runs."""
    with pytest.raises(InvalidPipelineError, match="is no quantity of Kubernetes; write it like"):
        Resources(memory=text)


def test_no_engine():
    """Without an engine, or with one that does not answer, the error says what to do."""
    with pytest.raises(InvalidConfigError) as caught:
        find_engine({"CONTAINER_ENGINE": "nosuchengine"})
    assert str(caught.value) == (
        "found no nosuchengine; install one of them, or use --runner local."
    )
    with pytest.raises(InvalidConfigError, match="no false engine answers"):
        find_engine({"CONTAINER_ENGINE": "false"} | dict(os.environ, CONTAINER_ENGINE="false"))
