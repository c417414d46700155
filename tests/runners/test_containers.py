"""Steps in real containers: the same rows, bytes and keys as without, and nothing left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from fondant_spec.dataset.code_digest import code_digest
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import InvalidConfigError, StepFailedError
from fondant_spec.pipeline import Pipeline
from fondant_spec.pipeline.run_history import StepResult, read_runs
from fondant_spec.runners import DockerRunner, LocalRunner
from fondant_spec.runners.docker import COMMAND
from fondant_spec.runners.image_lock import image_of, read_lock
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.testing import write_dataset
from tests.runners.conftest import CODE, NAMES, ROOT, assert_same_rows, call, final
from tests.runners.plans import forked
from tests.small import COMPONENTS, rows, start, wait_for

pytestmark = pytest.mark.docker


def hashes(results: list[StepResult]) -> dict[str, list[str]]:
    """Return the hashes of the partitions that each step wrote."""
    return {r.step_id: [p.sha256 for p in r.manifest.partitions] for r in results}


@pytest.mark.usefixtures("small_images")
def test_the_same_as_without_containers(tmp_path, capsys):
    """Rows, bytes and cache keys are those of the local runner, which takes over from there."""
    in_containers = DockerRunner().run(forked(tmp_path / "a").plan("run-1"))
    output = capsys.readouterr().out
    here = LocalRunner().run(forked(tmp_path / "b").plan("run-1"), lambda _: None)
    assert hashes(in_containers) == hashes(here)
    assert [r.manifest.cache_key for r in in_containers] == [r.manifest.cache_key for r in here]
    assert [r.manifest.rejects for r in in_containers] == [r.manifest.rejects for r in here]
    assert "[double] no GPU for containers here: runs on the CPU\n" in output
    assert f"[numbers] INFO numbers: 18 rows at {in_containers[0].manifest.folder}\n" in output
    again = LocalRunner().run(forked(tmp_path / "a").plan("run-2"), lambda _: None)
    assert [r.step_id for r in again if not r.cached] == ["waits"]
    owners = {(p.stat().st_uid, p.stat().st_gid) for p in (tmp_path / "a").rglob("*")}
    assert owners == {(os.getuid(), os.getgid())}


@pytest.mark.usefixtures("small_images")
def test_a_step_that_fails(engine, tmp_path):
    """The exit code and the log are those of the container, which is gone."""
    pipeline = Pipeline("small", tmp_path)
    numbers = pipeline.add(COMPONENTS / "numbers")
    pipeline.add(COMPONENTS / "misbehave", after=numbers, arguments={"how": "lose"}, workers=1)
    with pytest.raises(StepFailedError) as caught:
        DockerRunner().run(pipeline.plan("run-1"), lambda _: None)
    assert str(caught.value).startswith(
        "step 'misbehave' failed with exit code 1. Its log is above"
    )
    *_, last = Path(str(caught.value).rpartition(" as ")[2]).read_text().splitlines()
    assert last.startswith("error: misbehave: the component lost row")
    assert "run-1" not in call(engine.program, "ps", "--all", "--format", "{{.Names}}")
    assert [run["state"] for run in read_runs(str(tmp_path), "small")] == ["failed"]


def heed_ctrl_c() -> None:
    """Undo what a shell does to its background processes, such as the whole of a test run."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def waiting(engine, small_images, tmp_path):  # noqa: ARG001 - they must be there
    """Return the process of a pipeline whose step waits in a container, and its base path.

    And a function that tells whether the container is there.
    """
    gate = tmp_path / "base" / "gate"
    gate.parent.mkdir()
    gate.touch()
    process = start(
        [
            sys.executable,
            str(ROOT / "tests" / "pipelines" / "small.py"),
            *("--base-path", str(gate.parent), "--runner", "docker", "--set", f"waits.gate={gate}"),
        ],
        preexec_fn=heed_ctrl_c,
    )
    wait_for(gate.with_suffix(".pids"), process)
    [run] = read_runs(str(gate.parent), "small")

    def is_there() -> bool:
        names = call(engine.program, "ps", "--all", "--format", "{{.Names}}").splitlines()
        return f"fondant-{run['run_id']}-waits" in names

    assert is_there()
    return process, gate.parent, is_there


def test_ctrl_c_removes_the_container(waiting):
    """Ctrl-C ends the step at hand, removes its container, and exits with 130."""
    process, base, is_there = waiting
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert output.endswith("error: interrupted; what is finished is kept, run again to go on\n")
    assert not is_there()
    assert [run["state"] for run in read_runs(str(base), "small")] == ["interrupted"]


def test_a_runner_that_is_killed_takes_the_container_along(waiting):
    """A container ends by itself when whoever started it is no more."""
    process, _, is_there = waiting
    process.kill()
    process.wait()
    end = time.monotonic() + 30
    while is_there() and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_there()


def test_a_container_that_is_killed(engine, waiting):
    """A step that is killed in its container, as for its memory, is told as such."""
    process, base, is_there = waiting
    [run] = read_runs(str(base), "small")
    call(engine.program, "kill", f"fondant-{run['run_id']}-waits")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1, output
    assert "error: step 'waits' was killed, most likely because memory ran out: " in output
    assert "or give it more with `--set waits.@memory=...`" in output
    assert not is_there()


@pytest.mark.usefixtures("engine")
def test_an_image_that_was_not_built(tmp_path):
    """Before anything runs it is said which image is missing, and how to build it."""
    pipeline = Pipeline("small", tmp_path / "base")
    folder = tmp_path / "unbuilt"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").touch()
    (folder / "fondant_component.yaml").write_text(
        "name: Unbuilt\ndescription: x\nimage: fondant/unbuilt:dev\n"
    )
    pipeline.add(folder)
    with pytest.raises(InvalidConfigError) as caught:
        DockerRunner().run(pipeline.plan())
    assert str(caught.value) == (
        "unbuilt: there is no image fondant/unbuilt:dev here; "
        f"run: bash build_images.sh -C {os.path.relpath(folder)}"
    )


@pytest.mark.usefixtures("images")
def test_code_that_was_changed_since(tmp_path):
    """An image is used as long as the component's code is what it was built from, no longer."""
    folder = tmp_path / "components" / "generate_prompts"
    shutil.copytree(ROOT / "components" / "generate_prompts", folder)
    shutil.copy(ROOT / "images.lock", tmp_path)
    pipeline = Pipeline("small", tmp_path / "base")
    pipeline.add(folder, arguments={"n_rows_to_load": 3})
    [result] = DockerRunner().run(pipeline.plan(), lambda _: None)
    assert result.manifest.rows == 3
    (folder / "src" / "prompts.py").open("a").write("# edited\n")
    with pytest.raises(InvalidConfigError) as caught:
        DockerRunner().run(pipeline.plan(), lambda _: None)
    image = read_lock(ROOT / "images.lock")["generate_prompts"].name
    assert str(caught.value) == (
        f"generate_prompts: the image {image} was built from other code than the present; "
        f"run: bash build_images.sh -C {os.path.relpath(folder)}"
    )


@pytest.mark.usefixtures("images")
def test_ones_own_component(engine, tmp_path):
    """A component that lies elsewhere is built, found and run; the image has all of its specs."""
    folder = tmp_path / "mine" / "my_filter"
    shutil.copytree(ROOT / "examples" / "filter_image_resolution", folder)
    spec = (folder / "fondant_component.yaml").read_text(encoding="utf-8")
    other = spec.replace("tags: [", "tags: [other, ", 1)
    (folder / "other.yaml").write_text(other, encoding="utf-8")
    call(
        *("bash", str(ROOT / "build_images.sh"), "-C", "my_filter", "-n", "me", "-t", "test"),
        cwd=folder.parent,
        env=os.environ | {"CONTAINER_ENGINE": engine.program},
    )
    sides = pa.array([640, 64], pa.int32())
    given = write_dataset(pa.table({"image_width": sides, "image_height": sides}), tmp_path / "d")
    for name in ("fondant_component.yaml", "other.yaml"):
        planned = ComponentSpec.from_file(folder / name)
        image = image_of(planned)
        assert image.name == "me/my_filter:test"
        assert code_digest(planned) in image.code
        out = tmp_path / "d" / "location"
        call(
            *(engine.program, "run", "--rm", "--user", engine.user, "--network", "none"),
            *("--volume", f"{tmp_path}:{tmp_path}", image.here, *COMMAND),
            *("--base_path", str(tmp_path / "d"), "--input_manifest_path", given.location),
            *("--output_manifest_path", str(out), "--spec_file", name, "--min_side", "100"),
        )
        made = Manifest.read(out.read_text(encoding="utf-8"))
        assert made.rows == 1
        assert made.key_parts["code"] == code_digest(planned)
    call(engine.program, "image", "rm", "me/my_filter:test")


@pytest.mark.parametrize("name", NAMES)
def test_images_start_as_anyone(engine, images, name):
    """Any uid can start each component without capabilities, and it is the code at hand."""
    told = call(
        *(engine.program, "run", "--rm", "--user", "54321:54321", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--network", "none"),
        *(images[name].here, "python", "-c", CODE),
    )
    spec = ComponentSpec.from_file(ROOT / "components" / name)
    assert told.splitlines()[-1] == code_digest(spec), f"build it again: build_images.sh -C {name}"


@pytest.mark.parametrize("name", NAMES)
def test_images_are_clean(engine, images, name):
    """An image runs as a user, says what it was made of, and has neither compilers nor models."""
    template = "{{.Config.User}} {{json .Config.Labels}}"
    user, _, labels = call(
        engine.program, "image", "inspect", "--format", template, images[name].here
    ).partition(" ")
    assert user == "1000:1000"
    assert f'"org.opencontainers.image.title":"{name}"' in labels
    for label in ("source", "revision", "version"):
        assert f'"org.opencontainers.image.{label}":"' in labels
    script = (
        "find / -xdev -name '*.safetensors'; find /cache/huggingface /tmp -mindepth 1; "
        "which gcc make ld; true"
    )
    run = (engine.program, "run", "--rm", "--user", "0", images[name].here, "sh", "-c", script)
    assert call(*run) == ""


@pytest.mark.parametrize("name", ["image_embedding", "text_embedding", "evaluate_images"])
def test_open_clip_is_in_the_images_that_use_it(engine, images, name):
    """Models of open_clip run there, whichever build of torch and torchvision they have."""
    code = (
        "from image_toolkit.models.runtime.torch_setup import prepare_torch; prepare_torch(); "
        "import open_clip; from safetensors.torch import save_file; "
        "from image_toolkit.models.embedding.embedders import text_encoder; "
        "model = open_clip.create_model('ViT-S-32-alt'); file = '/tmp/weights.safetensors'; "
        "save_file({k: v.contiguous() for k, v in model.state_dict().items()}, file); "
        "encoder = text_encoder(f'open_clip:ViT-S-32-alt/{file}'); "
        "print(*encoder.tower(**encoder.collate(['a cat', 'two boats'])).shape)"
    )
    run = (engine.program, "run", "--rm", "--network", "none", images[name].here)
    assert call(*run, "python", "-c", code).splitlines()[-1] == "2 256"


def training(folder: Path, base: Path) -> Pipeline:
    """Return a pipeline that trains a LoRA, writes it beside the base path, and evaluates it."""
    models, parts = ROOT / "demo" / "models", ROOT / "components"
    seeds = folder / "seeds"
    seeds.mkdir(exist_ok=True)
    for number in range(24):
        Image.new("RGB", (64, 64), (10 * number, 0, 200)).save(seeds / f"{number:02}.png")
        (seeds / f"{number:02}.txt").write_text(f"colour {number}")
    pipeline = Pipeline("training", base)
    given: dict[str, object] = {"dataset_name": str(seeds)}
    pipeline.add(parts / "load_from_hub", arguments=given, produces={"caption": "string"})
    given = {"validation_fraction": 0.6}
    pipeline.add(parts / "split_rows", after="load_from_hub", arguments=given)
    base_model = str(models / "diffusion")
    given = {"model_id": base_model, "output_path": str(base.with_name(f"{base.name}_lora"))}
    given |= {"resolution": 64, "max_train_steps": 1}
    pipeline.add(parts / "fine_tune", after="split_rows", arguments=given)
    for name, after, model in (("base", "split_rows", base_model), ("tuned", "fine_tune", None)):
        pipeline.add(
            parts / "generate_images",
            step_id=f"generate_{name}",
            after=after,
            arguments={"model_id": model, "split": "validation", "num_inference_steps": [1]},
            produces={"generated_image": f"{name}_image"},
        )
    given = {"clip_model_id": str(models / "clip"), "resamples": 100}
    pipeline.add(
        parts / "evaluate_images", after=["generate_base", "generate_tuned"], arguments=given
    )
    return pipeline


@pytest.mark.usefixtures("images")
@pytest.mark.timeout(600)
def test_one_container_draws_with_what_another_has_trained(tmp_path):
    """The LoRA is found, and its base, though neither lies on the base path."""
    plan = training(tmp_path, tmp_path / "base").plan()
    results = {one.step_id: one.manifest for one in DockerRunner().run(plan, lambda _: None)}
    drawn = results["generate_tuned"]
    assert drawn.fields["tuned_image"].metadata["trained_by"] == "fine_tune"
    assert sum(row["tuned_image"] is not None for row in rows(drawn)) == 16
    mark = Path(results["evaluate_images"].artifacts[0])
    told = json.loads(mark.with_name("report.json").read_text(encoding="utf-8"))
    assert (told["images"]["samples"], told["training"]["step_id"]) == (16, "fine_tune")


def test_a_build_that_fails(engine, tmp_path):
    """A base image that does not exist stops the script, which names the component."""
    done = subprocess.run(
        [
            *("bash", "build_images.sh", "-C", "generate_prompts", "-t", "none"),
            *("--base-image", "fondant-test/no-such-base:none"),
            *("--lock", str(tmp_path / "images.lock")),
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"CONTAINER_ENGINE": engine.program},
    )
    assert done.returncode == 1
    assert done.stderr.endswith("error: building generate_prompts failed.\n")


@pytest.mark.timeout(1200)
def test_demo(demo):
    """The demo in containers gives the same rows, captions and image hashes as without."""
    found = {name: rows(final(base)) for name, base in demo.items()}
    assert len(found["docker"]) > 100
    assert_same_rows(found["docker"], found["local"])
