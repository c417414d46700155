"""Fixtures shared by the tests of the framework."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fondant_spec.dataset.manifest import Manifest
from fondant_spec.worker.component_code import component_class
from fondant_spec.worker.run_step import run
from tests.small import COMPONENTS, Enter, command


@pytest.fixture
def enter(tmp_path: Path) -> Enter:
    """Return a function that runs a small component in this process, by its argument vector."""

    def enter_it(
        name: str,
        after: Manifest | None = None,
        base: Path | str | None = None,
        words: Sequence[str] = (),
        **arguments: object,
    ) -> Manifest:
        argv = command(name, Path(), *words, **arguments)[4:]
        if after is not None:
            argv += ["--input_manifest_path", after.location]
        if "--workers" not in argv:
            argv += ["--workers", "1"]
        return run(
            component_class(COMPONENTS / name), ["--base_path", str(base or tmp_path), *argv]
        )

    return enter_it


@pytest.fixture(scope="session")
def s3_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server of S3's protocol with an empty bucket: the environment by which clients find it."""
    from tests.object_stores import s3_server  # noqa: PLC0415 - few tests need it

    with s3_server(tmp_path_factory.mktemp("s3")) as environment:
        yield environment


@pytest.fixture(scope="session")
def google_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The same for Google Cloud Storage."""
    from tests.object_stores import google_server  # noqa: PLC0415

    with google_server(tmp_path_factory.mktemp("google")) as environment:
        yield environment


@pytest.fixture
def s3_base(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A base path on that server, for this test alone; its keys are in the environment."""
    from fondant_spec.dataset import stores  # noqa: PLC0415

    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    stores.S3Store.clear_instance_cache()
    return f"s3://datasets/{tmp_path.name}"


@pytest.fixture
def google_base(
    google_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> str:
    """A base path on that server, for this test alone."""
    for name, value in google_environment.items():
        monkeypatch.setenv(name, value)
    return f"gs://datasets/{tmp_path.name}"
