"""Rules for the Dockerfiles of all components: alike but where they must differ, and safe."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILES = sorted((ROOT / "components").glob("*/Dockerfile"))
TORCH = "\n# CUDA comes with torch"


def names(dockerfiles):
    """Return the components' names, for the tests' ids."""
    return [file.parent.name for file in dockerfiles]


def requirements(component: Path) -> set[str]:
    """Return the names of the packages that a component requires itself."""
    lines = (component / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return {re.split(r"[<>=!~;\[ ]", line)[0] for line in lines if line}


def without_torch(text: str) -> str:
    """Return a Dockerfile without the paragraph that installs torch."""
    return "\n\n".join(p for p in text.split("\n\n") if not f"\n{p}".startswith(TORCH))


def test_every_component_has_one():
    """No component lacks a Dockerfile."""
    specs = sorted((ROOT / "components").glob("*/fondant_component.yaml"))
    assert names(specs) == names(DOCKERFILES)


@pytest.mark.parametrize("file", DOCKERFILES, ids=names(DOCKERFILES))
def test_they_differ_in_name_and_torch_only(file):
    """Without the component's name and the paragraph on torch, all Dockerfiles are the same."""

    def common(dockerfile: Path) -> str:
        text = dockerfile.read_text(encoding="utf-8")
        return without_torch(text.replace(dockerfile.parent.name, "COMPONENT"))

    assert common(file) == common(DOCKERFILES[0])


def test_torch_is_installed_in_one_way():
    """The paragraph on torch stands where a component requires torch, and is the same there."""
    paragraphs = set()
    for file in DOCKERFILES:
        text = file.read_text(encoding="utf-8")
        has = [p for p in text.split("\n\n") if f"\n{p}".startswith(TORCH)]
        assert len(has) == ("torch" in requirements(file.parent)), file
        paragraphs.update(has)
    assert len(paragraphs) == 1


@pytest.mark.parametrize("file", DOCKERFILES, ids=names(DOCKERFILES))
def test_they_are_safe(file):
    """Another base and the CPU build can be chosen; nothing runs as root or holds a secret."""
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "ARG BASE_IMAGE=python:3.11-slim"
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000:1000"]
    assert lines.index("USER 1000:1000") > max(
        n for n, line in enumerate(lines) if line.startswith("RUN ")
    )
    text = "\n".join(lines)
    assert "HF_HOME=/cache/huggingface" in text
    for label in ("source", "revision", "version"):
        assert f"org.opencontainers.image.{label}=" in text
    for word in ("apt-get", "curl", "ENTRYPOINT", "--mount", "TOKEN", "snapshot_download"):
        assert word not in text


def test_the_build_context_holds_no_more_than_needed():
    """What is not copied by a Dockerfile is not sent to the engine either."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = {
        source.split("/")[0]
        for file in DOCKERFILES
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
