"""build_images.sh: what it would run, and what it refuses. Building is in runners/test_images."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "build_images.sh"
COMPONENTS = sorted(file.parent.name for file in (ROOT / "components").glob("*/Dockerfile"))


def run(*words: str, script: Path = SCRIPT, **environment: str) -> "subprocess.CompletedProcess":
    """Run the script; its engine is `docker`, also where there is none."""
    return subprocess.run(
        ["/bin/bash", str(script), *words],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "CONTAINER_ENGINE": "docker"} | environment,
    )


@pytest.fixture
def copy(tmp_path):
    """Return the script beside two components of its own, in a folder that is no checkout."""
    script = Path(shutil.copy(SCRIPT, tmp_path))
    for name in ("one", "two"):
        (tmp_path / "components" / name).mkdir(parents=True)
        (tmp_path / "components" / name / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "components" / "no_image").mkdir()
    (tmp_path / "fondant_spec").mkdir()
    (tmp_path / "fondant_spec" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    return script


def test_all_components():
    """`-C all` builds every component, under the names that were asked for."""
    done = run("--namespace", "demo", "--repo", "demo", "-C", "all", "-t", "v1", "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[::2] == [f"building demo/{name}:v1" for name in COMPONENTS]
    assert "SOURCE=https://github.com/demo/demo" in lines[1]


def test_every_option(copy):
    """Each option comes where it belongs in the engine's commands, and `--` passes words on."""
    done = run(
        *("-n", "team", "-r", "repo", "-t", "v1", "-c", "two", "--component", "one", "--push"),
        *("--registry", "ghcr.io/", "--platform", "linux/amd64", "--base-image", "mine:1"),
        *("--build-arg", "TORCH_INDEX_URL=https://x/cpu", "--dry-run", "--", "--network", "host"),
        script=copy,
    )
    assert done.returncode == 0, done.stderr
    common = (
        "--build-arg SOURCE=https://github.com/team/repo --build-arg REVISION= "
        "--build-arg VERSION=1.2.3 --platform linux/amd64 --build-arg BASE_IMAGE=mine:1 "
        "--build-arg TORCH_INDEX_URL=https://x/cpu --network host . "
    )
    assert done.stdout.splitlines() == [
        line
        for name in ("two", "one")
        for line in (
            f"building ghcr.io/team/{name}:v1",
            f"docker build --file components/{name}/Dockerfile --tag ghcr.io/team/{name}:v1 "
            + common,
            f"docker push ghcr.io/team/{name}:v1 ",
        )
    ]


def test_nothing_is_pushed_unasked(copy):
    """Without --push there is no push, and the repository's own names are the default."""
    done = run("-C", "one", "-t", "v1", "--dry-run", script=copy)
    assert done.stdout.splitlines()[0] == "building fondant/one:v1"
    assert "push" not in done.stdout
    assert not (copy.parent / "images.lock").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "error: name a --component: all, or some of: one two."),
        (
            ["-C", "three"],
            "error: there is no component three; choose all, or some of: one two.",
        ),
        (["-C"], "error: -C needs a value; see --help."),
        (["-C", "one", "-t", "--push"], "error: -t needs a value; see --help."),
        (["-C", "one", "-n", ""], "error: -n needs a value; see --help."),
        (["one"], "error: unknown option one; see --help."),
        (["-C", "one", "--puhs"], "error: unknown option --puhs; see --help."),
        (
            ["-C", "one", "-t", "v1", "--push"],
            "error: --push needs a --namespace, for whose images they are.",
        ),
        (["-C", "one"], "error: this is no git checkout, so name a --tag."),
    ],
)
def test_wrong_usage(copy, words, message):
    """Wrong usage ends with 2 and one line that says what to do."""
    done = run(*words, script=copy)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{message}\n")


def test_help(copy):
    """--help names every option and ends with 0."""
    done = run("--help", script=copy)
    assert done.returncode == 0
    for option in ("-C, -c", "-n", "-r", "-t", "--registry", "--push", "--platform"):
        assert option in done.stdout
    for option in ("--base-image", "--build-arg", "--dry-run", "-h, --help", "--lock"):
        assert option in done.stdout


def test_no_engine(copy):
    """Without an engine it says what to install."""
    done = run("-C", "one", "-t", "v1", script=copy, CONTAINER_ENGINE="nosuchengine")
    assert (done.returncode, done.stderr) == (
        1,
        "error: found neither docker nor podman; install one of them.\n",
    )


def test_a_failed_build_stops_it(copy):
    """The first build that fails ends the script, which names the component."""
    done = run("-C", "all", "-t", "v1", script=copy, CONTAINER_ENGINE="false")
    assert done.returncode == 1
    assert done.stdout == "building fondant/one:v1\n"
    assert done.stderr == "error: building one failed.\n"
    assert not (copy.parent / "images.lock").exists()


@pytest.mark.parametrize("dirty", [False, True])
def test_the_tag_is_the_revision(copy, dirty):
    """The default tag is the git revision, and says if files differ from it."""

    def git(*words: str) -> str:
        identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.com"]
        command = ["git", "-C", str(copy.parent), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    revision = git("rev-parse", "HEAD")
    if dirty:
        (copy.parent / "fondant_spec" / "new.py").write_text("")
    done = run("-C", "one", "--dry-run", script=copy)
    tag = revision[:12] + ("-dirty" if dirty else "")
    assert done.stdout.splitlines()[0] == f"building fondant/one:{tag}"
    assert f"REVISION={revision}" in done.stdout
