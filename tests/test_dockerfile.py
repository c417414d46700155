"""Rules for the one Dockerfile of all components: security, and the order of its layers."""

from pathlib import Path

from fondant_spec.cpu import PATIENT

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "components" / "Dockerfile").read_text(encoding="utf-8").splitlines()
TEXT = "\n".join(LINES)


def place(text: str) -> int:
    """Return the number of the one line that begins with a text."""
    [number] = [number for number, line in enumerate(LINES) if line.startswith(text)]
    return number


def test_there_is_one():
    """No component has a Dockerfile of its own."""
    assert [file.name for file in (ROOT / "components").glob("**/Dockerfile")] == ["Dockerfile"]


def test_it_is_safe():
    """Another base and the CPU build can be chosen; nothing runs as root or holds a secret."""
    assert "ARG BASE_IMAGE=python:3.11-slim" in LINES
    assert [line for line in LINES if line.startswith("USER ")] == ["USER 1000:1000"]
    assert place("USER 1000:1000") > max(n for n, line in enumerate(LINES) if line[:4] == "RUN ")
    assert "HF_HOME=/cache/huggingface" in TEXT
    for name, value in PATIENT.items():  # a step is not alone on its machine
        assert f"{name}={value}" in TEXT
    for label in ("source", "revision", "version"):
        assert f"org.opencontainers.image.{label}=" in TEXT
    for word in ("apt-get", "curl", "ENTRYPOINT", "--mount", "TOKEN", "snapshot_download"):
        assert word not in TEXT


def test_the_large_layers_are_shared():
    """What differs between components comes after the layers that they have in common."""
    order = ["ENV GOMP", "COPY constraints.txt /build/", "ARG TORCH=", "ARG TORCHVISION="]
    order += ["ARG COMPONENT", "COPY --from=build /wheels", "ARG REVISION"]
    places = [place(text) for text in order]
    assert places == sorted(places)
    assert min(n for n, line in enumerate(LINES) if "${COMPONENT}" in line) > place("ARG COMPONENT")


def test_the_build_context_holds_no_more_than_needed():
    """What is not copied by the Dockerfile is not sent to the engine either."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    copied = {
        source.split("/")[0]
        for line in LINES
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied
