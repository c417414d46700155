"""Lock files: where they lie, what they say, and what is refused before it reaches an engine."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fondant_spec.dataset.code_digest import code_digest
from fondant_spec.errors import InvalidConfigError
from fondant_spec.pipeline import Pipeline
from fondant_spec.runners.image_lock import (
    Image,
    build_command,
    doubts,
    image_of,
    read_lock,
    refuse_other_code,
)
from fondant_spec.spec.component_spec import ComponentSpec
from tests.small import COMPONENTS

ID, CODE, OTHER = (f"sha256:{letter * 64}" for letter in "abc")
SPEC = ComponentSpec.from_file(COMPONENTS / "numbers")


def copied(folder: Path) -> ComponentSpec:
    """Copy a component to a folder, and return its spec."""
    shutil.copytree(COMPONENTS / "numbers", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return ComponentSpec.from_file(folder)


def lock(file: Path, code: str = CODE, digest: str = "-") -> None:
    """Write a lock file for the component `numbers`."""
    file.write_text(f"# a comment\n\nnumbers me/numbers:v1 {ID} {digest} {code}\n")


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("components/numbers", "images.lock"),
        ("mine/numbers", "mine/images.lock"),
        ("repo/examples/numbers", "repo/images.lock"),
    ],
)
def test_where_it_lies(tmp_path, folder, file):
    """It lies beside the component, or above `components/` and in the repository."""
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "build_images.sh").touch()
    spec = copied(tmp_path / folder)
    assert image_of(spec) == Image("fondant/numbers:dev")
    lock(tmp_path / file, f"{CODE},{OTHER}")
    assert image_of(spec) == Image("me/numbers:v1", ID, None, (CODE, OTHER))
    assert image_of(replace(spec, path=None)) == Image("fondant/numbers:dev")


def test_the_most_exact_reference():
    """What was built is named by its id here, and by its digest elsewhere."""
    assert (Image("a:1").here, Image("a:1").anywhere) == ("a:1", "a:1")
    image = Image("a:1", ID, f"a@{OTHER}")
    assert (image.here, image.anywhere) == (ID, f"a@{OTHER}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"numbers me/numbers:v1 {ID} -", "expected component, image, id, digest and code;"),
        (f"numbers me/numbers:v1 abc - {CODE}", "expected component, image, id, digest and code;"),
        (f"numbers me/numbers:v1 {ID} - abc", "expected component, image, id, digest and code;"),
        (f"numbers me/numbers:v1 {ID} - {CODE},", "expected component, image, id, digest and"),
        (f"numbers --privileged {ID} - {CODE}", "'--privileged' is no name of an image"),
        (f"numbers me/numbers:v1 {ID} -v=/:/x {CODE}", "'-v=/:/x' is no name of an image"),
    ],
)
def test_a_wrong_line(tmp_path, line, message):
    """A line that is not as the script writes it is named, with what to do."""
    (tmp_path / "images.lock").write_text(f"# a comment\n{line}\n")
    with pytest.raises(InvalidConfigError) as caught:
        read_lock(tmp_path / "images.lock")
    assert str(caught.value).startswith(f"{tmp_path}/images.lock, line 2: {message}")


@pytest.mark.parametrize(
    "name",
    [
        "numbers",
        "fndnt/caption_images:0.12.1",
        "ghcr.io/me/my_filter:v1",
        "localhost:5000/a/b/c-d__e.f:A_b.C-1",
        "registry.example.com:443/team/x",
        "[::1]:5000/x",
        f"a/b@{ID}",
        f"a/b:c@{ID}",
        "a" * 255,
    ],
)
def test_names_of_images(name):
    """All that the engines take is taken."""
    assert image_of(replace(SPEC, image=name)).name == name


@pytest.mark.parametrize(
    "name",
    [
        "--privileged",
        "-v",
        "-",
        "a b",
        "a\n",
        "\na",
        "A/b/C",
        "a//b",
        "/a",
        "a/",
        "a:",
        "a:b:c",
        "a:-b",
        "a:" + "b" * 129,
        "a@sha256:12",
        "a..b",
        "a/-b",
        "-a.com/b",
        "a;b",
        "$(a)",
        "é",
        "a" * 256,
        "http://a/b",
    ],
)
def test_what_is_no_name(name):
    """What a command line could take for something else is refused, and the spec is named."""
    with pytest.raises(InvalidConfigError) as caught:
        image_of(replace(SPEC, image=name))
    assert str(caught.value) == (
        f"{SPEC.path}: {name!r} is no name of an image, such as ghcr.io/me/my_filter:v1."
    )


def test_other_code_is_refused(tmp_path):
    """An image that holds other code than was planned with is refused, with how to build it."""
    spec = copied(tmp_path / "components" / "numbers")
    pipeline = Pipeline("p", tmp_path / "base")
    pipeline.add(spec.path.parent, step_id="count")
    refuse_other_code(pipeline.plan().steps)
    lock(tmp_path / "images.lock", f"{CODE},{code_digest(spec)}")
    refuse_other_code(pipeline.plan().steps)
    (spec.path.parent / "src" / "main.py").open("a").write("# edited\n")
    with pytest.raises(InvalidConfigError) as caught:
        refuse_other_code(pipeline.plan().steps)
    assert str(caught.value) == (
        "count: the image me/numbers:v1 was built from other code than the present; "
        f"run: {build_command(spec)}"
    )


def test_how_to_build(tmp_path, monkeypatch):
    """A component of the repository is called by its name, others by where they lie."""
    monkeypatch.chdir(tmp_path)
    inside, outside = copied(tmp_path / "components" / "numbers"), copied(tmp_path / "my" / "one")
    assert build_command(inside) == "bash build_images.sh -C components/numbers"
    (tmp_path / "build_images.sh").touch()
    assert build_command(inside) == "bash build_images.sh -C numbers"
    assert build_command(outside) == "bash build_images.sh -C my/one"
    spaced = copied(tmp_path / "my own" / "one")
    assert build_command(spaced) == "bash build_images.sh -C 'my own/one'"


def test_doubts(tmp_path):
    """It is told which images a cluster may lack, or may have of other code."""
    spec = copied(tmp_path / "components" / "numbers")
    file = tmp_path / "only.yaml"
    file.write_text(
        "name: Only\ndescription: x\nimage: me/only:v1\nproduces: {a: {type: string}}\n"
    )
    pipeline = Pipeline("p", tmp_path / "base")
    pipeline.add(spec.path.parent)
    pipeline.add(file)
    moving = (
        "named by a tag, which may come to mean another image while results are kept under the "
        "same key; name a digest (image@sha256:...): me/only:v1"
    )
    assert list(doubts(pipeline.plan().steps)) == [
        (
            "in no images.lock, so whether they hold the present code is not known: "
            "fondant/numbers:dev"
        ),
        moving,
    ]
    lock(tmp_path / "images.lock")
    assert list(doubts(pipeline.plan().steps)) == [
        "not pushed, so the cluster's nodes must have them: me/numbers:v1",
        moving,
    ]
    lock(tmp_path / "images.lock", digest=f"me/numbers@{ID}")
    assert list(doubts(pipeline.plan().steps)) == [moving]
    file.write_text(file.read_text().replace("me/only:v1", f"me/only@{ID}"))
    pipeline = Pipeline("p", tmp_path / "base")
    pipeline.add(file)
    assert list(doubts(pipeline.plan().steps)) == []
