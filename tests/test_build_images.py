"""build_images.sh: what it would run, and what it refuses. It builds in test_containers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fondant_spec.runners.image_lock import read_lock

CHOICES = "choose all, some of: one two, or a folder with a spec."
ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "build_images.sh"
COMPONENTS = sorted(
    spec.parent.name for spec in (ROOT / "components").glob("*/fondant_component.yaml")
)


def run(
    *words: str, script: Path = SCRIPT, cwd: Path | None = None, **environment: str
) -> "subprocess.CompletedProcess":
    """Run the script; its engine is `docker`, also where there is none."""
    return subprocess.run(
        ["/bin/bash", str(script), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "CONTAINER_ENGINE": "docker"} | environment,
    )


@pytest.fixture
def copy(tmp_path):
    """Return the script beside two components of its own, in a folder that is no checkout."""
    folder = tmp_path / "repo"
    for name, requirements in {"one": "torch>=2\ntorchvision\n", "two": "torchmetrics\n"}.items():
        (folder / "components" / name).mkdir(parents=True)
        (folder / "components" / name / "fondant_component.yaml").write_text(f"name: {name}\n")
        (folder / "components" / name / "requirements.txt").write_text(requirements)
    (folder / "components" / "no_component").mkdir()
    (folder / "fondant_spec").mkdir()
    (folder / "fondant_spec" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    return Path(shutil.copy(SCRIPT, folder))


@pytest.fixture
def own(tmp_path):
    """Return a component's folder that lies elsewhere."""
    folder = tmp_path / "else where" / "my_filter"
    (folder / "src").mkdir(parents=True)
    (folder / "fondant_component.yaml").write_text("name: Mine\n")
    return folder


def git(folder: Path, *words: str) -> str:
    """Run git in a folder, and return what it printed."""
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.com"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> str:
    """Commit all in a folder as a repository of its own, and return the revision."""
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return git(folder, "rev-parse", "HEAD")


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
        for name, torch in (("two", "no"), ("one", "yes"))
        for line in (
            f"building ghcr.io/team/{name}:v1",
            (
                f"docker build --file ./components/Dockerfile --tag ghcr.io/team/{name}:v1 "
                f"--build-arg COMPONENT={name} --build-arg TORCH={torch} "
                f"--build-arg TORCHVISION={torch} {common}"
            ),
            f"docker push -- ghcr.io/team/{name}:v1 ",
        )
    ]


def test_ones_own_component(copy, own):
    """A folder elsewhere is built from a context that holds it and what all images need."""
    named = {"a path": (own.parent, "./my_filter/"), "a name": (own.parent, "my_filter")}
    named |= {"the folder": (own, "."), "absolute": (copy.parent, str(own))}
    for cwd, word in named.values():
        done = run("-C", word, "-t", "v1", "--dry-run", script=copy, cwd=cwd)
        assert done.returncode == 0, done.stderr
        first, made, shared, dockerfile, spec, source, build = done.stdout.splitlines()
        assert first == "building fondant/my_filter:v1"
        place = made.split()[-1]
        context = place.removesuffix("/components/my_filter")
        assert made == f"mkdir -p -- {place} "
        assert shared.endswith(f"pyproject.toml fondant_spec image_toolkit {context} ")
        assert dockerfile == f"cp -- components/Dockerfile {context}/components "
        assert spec.endswith(f"my_filter/fondant_component.yaml {place} ")
        assert source.endswith(f"my_filter/src {place} ")
        assert build.startswith(f"docker build --file {context}/components/Dockerfile --tag ")
        assert "--build-arg COMPONENT=my_filter --build-arg TORCH=no " in build
        assert build.endswith(f" {context} ")
        assert not Path(context).exists()


def test_a_name_that_images_cannot_have(copy, own):
    """A folder whose name is none of an image is refused."""
    folder = own.rename(own.with_name("My Filter"))
    done = run("-C", str(folder), "-t", "v1", script=copy, CONTAINER_ENGINE="none")
    message = "My Filter is no name of an image; rename the folder to small letters, digits and _."
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_nothing_is_pushed_unasked(copy):
    """Without --push there is no push, and the repository's own names are the default."""
    done = run("-C", "one", "-t", "v1", "--dry-run", script=copy)
    assert done.stdout.splitlines()[0] == "building fondant/one:v1"
    assert "push" not in done.stdout
    assert not (copy.parent / "images.lock").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "error: name a --component: all, some of: one two, or the folder of your own."),
        *(
            (
                ["-C", name],
                f"error: there is no component {name}; {CHOICES}",
            )
            for name in ("three", "components/no_component", "one two")
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


@pytest.mark.parametrize(
    ("named", "told"), [("nosuchengine", "nosuchengine"), ("", "docker or podman")]
)
def test_no_engine(copy, tmp_path, named, told):
    """Without an engine it says what to install."""
    for program in ("dirname", "basename", "paste", "sed", "grep"):
        (tmp_path / program).symlink_to(shutil.which(program))
    words = ("-C", "one", "-t", "v1")
    done = run(*words, script=copy, CONTAINER_ENGINE=named, PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (
        1,
        f"error: found no {told}; install it, or have CONTAINER_ENGINE name another.\n",
    )


def test_a_failed_build_stops_it(copy):
    """The first build that fails ends the script, which names the component."""
    done = run("-C", "all", "-t", "v1", script=copy, CONTAINER_ENGINE="false")
    assert done.returncode == 1
    assert done.stdout == "building fondant/one:v1\n"
    assert done.stderr == "error: building one failed.\n"
    assert not (copy.parent / "images.lock").exists()


def test_no_tag(copy):
    """Without a revision there is no default tag; that is said before an engine is looked for."""
    done = run("-C", "one", script=copy, CONTAINER_ENGINE="none")
    folder = copy.parent / "components" / "one"
    message = f"error: {folder} is in no git checkout, so name a --tag.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


@pytest.mark.parametrize(
    ("changed", "dirty"),
    [
        (None, False),
        ("fondant_spec/new.py", True),
        ("components/one/new.txt", True),
        ("components/two/new.txt", False),
    ],
)
def test_the_tag_is_the_revision(copy, changed, dirty):
    """The default tag is the git revision, and says if the image's files differ from it."""
    revision = commit(copy.parent)
    if changed:
        (copy.parent / changed).write_text("")
    done = run("-C", "one", "--dry-run", script=copy)
    tag = revision[:12] + ("-dirty" if dirty else "")
    assert done.stdout.splitlines()[0] == f"building fondant/one:{tag}"
    assert f"REVISION={revision}" in done.stdout


def test_the_tag_of_ones_own_component(copy, own):
    """A component in another repository is tagged and labelled by that one."""
    commit(copy.parent)
    revision = commit(own)
    git(own, "remote", "add", "origin", "https://git.example.com/mine.git")
    done = run("-C", str(own), "--dry-run", script=copy)
    assert done.stdout.splitlines()[0] == f"building fondant/my_filter:{revision[:12]}"
    assert f"REVISION={revision}" in done.stdout
    assert "SOURCE=https://git.example.com/mine.git" in done.stdout


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://me:ghp_secret@github.com/me/x.git", "https://github.com/me/x.git"),
        ("https://ghp_secret@github.com/me/x.git", "https://github.com/me/x.git"),
        ("https://me:p@ss@github.com/me/x@y.git", "https://github.com/me/x@y.git"),
        ("ssh://git@github.com:22/me/x.git", "ssh://github.com:22/me/x.git"),
        ("git@github.com:me/x.git", "git@github.com:me/x.git"),
        ("https://github.com/me/x.git", "https://github.com/me/x.git"),
    ],
)
def test_a_remote_keeps_its_secret(copy, url, told):
    """What signs in to git's remote gets neither into a label nor on the screen."""
    commit(copy.parent)
    git(copy.parent, "remote", "add", "origin", url)
    done = run("-C", "one", "--dry-run", script=copy)
    assert f"SOURCE={told} " in done.stdout
    assert "secret" not in done.stdout + done.stderr


@pytest.mark.parametrize("words", [["--help"], ["mine:1", "yours:1"]])
def test_the_base_image_takes_one_name(words):
    """A wrong word is told before minutes of making an image that cannot be called so."""
    done = run(*words, script=ROOT / "scripts" / "make_base_image.sh")
    usage = "usage: bash scripts/make_base_image.sh [NAME]\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", usage)


def test_a_component_that_is_named_twice(copy):
    """It is built once."""
    done = run("-C", "all", "-C", "one", "-t", "v1", "--dry-run", script=copy)
    assert done.stdout.count("building fondant/one:v1\n") == 1


def test_two_folders_of_one_name(copy, own):
    """Two components that would be one image are refused: it would have the files of both."""
    other = shutil.copytree(own, own.parent / "other" / own.name)
    done = run("-C", str(own), "-C", str(other), "-t", "v1", "--dry-run", script=copy)
    message = (
        f"{other} and another folder make one image, fondant/my_filter:v1; rename one of them."
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_a_lock_file_without_a_place(copy, tmp_path):
    """Where the lock file goes is looked at before anything is built, from where the caller is."""
    words = ("-C", "one", "-t", "v1", "--lock", "locks/images.lock")
    done = run(*words, script=copy, cwd=tmp_path, CONTAINER_ENGINE="false")
    message = "for images.lock, is no folder that can be written; name another with --lock."
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path / 'locks'}, {message}\n"
    (tmp_path / "locks").mkdir()
    done = run(*words, script=copy, cwd=tmp_path, CONTAINER_ENGINE="false")
    assert done.stderr == "error: building one failed.\n"


def start(function: str, *words: str) -> "subprocess.Popen[str]":
    """Start one function of the script alone."""
    text = SCRIPT.read_text(encoding="utf-8")
    own = text[text.index(f"\n{function}() {{") :].partition("\n}\n")[0]
    command = f'set -euo pipefail{own}\n}}\n{function} "$@"'
    return subprocess.Popen(
        ["/bin/bash", "-c", command, "bash", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(not shutil.which("flock"), reason="no flock here")
def test_builds_side_by_side(tmp_path):
    """Builds that end at the same time lose none of each other's lines."""
    file = tmp_path / "images.lock"
    digest = f"sha256:{'0' * 64}"
    names = [f"component_{number}" for number in range(24)]
    started = [start("write_lock", str(file), n, f"me/{n}:v1", digest, "-", digest) for n in names]
    assert [process.wait() for process in started] == [0] * len(names)
    assert sorted(read_lock(file)) == sorted(names)


@pytest.mark.parametrize(
    ("name", "digests", "found"),
    [
        ("docker.io/me/one", "me/one@sha256:1", "me/one@sha256:1"),
        ("docker.io/me/one", "docker.io/me/one@sha256:1", "docker.io/me/one@sha256:1"),
        ("me/one", "localhost/me/one@sha256:1", "localhost/me/one@sha256:1"),
        ("ghcr.io/me/one", "ghcr.io/you/one@sha256:2\nghcr.io/me/one@sha256:1", "ghcr.io/me/one@s"),
        ("ghcr.io/me/one", "ghcr-io/me/one@sha256:1\nghcr.io/me/one_two@sha256:1", ""),
    ],
)
def test_the_digest_of_what_was_pushed(name, digests, found):
    """It is found under the name that the engine has for it, and no other's is taken."""
    process = start("digest_in", name)
    told, _ = process.communicate(f"{digests}\n")
    assert told.startswith(found)
    assert process.returncode == (0 if found else 1)
