"""Pushing to a real registry: the lock file then identifies the image by digest on any machine."""

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fondant_spec.dataset.code_digest import code_digest
from fondant_spec.runners.image_lock import read_lock
from fondant_spec.spec.component_spec import ComponentSpec
from tests.runners.conftest import ROOT, call, lacking

pytestmark = pytest.mark.docker

CONFIGURATION = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Serve a registry on loopback, and yield its address."""
    program = shutil.which("docker-registry")
    if program is None:
        lacking("there is no docker-registry; apt-get install docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = tmp_path / "registry.yml"
    file.write_text(CONFIGURATION.format(folder=tmp_path / "blobs", port=port))
    with subprocess.Popen(
        [program, "serve", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}/v2/", process)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < end, "the registry did not come up"
            time.sleep(0.05)


@pytest.mark.usefixtures("images")
@pytest.mark.timeout(900)
def test_push(engine, registry, tmp_path):
    """A pushed image is noted with its digest, by which it can be pulled again."""
    lock = tmp_path / "images.lock"
    code = f"sha256:{'0' * 64}"
    other = f"other demo/other:v1 sha256:{'0' * 64} - {code}"
    lock.write_text(f"{other}\ngenerate_prompts old/name:v0 sha256:{'1' * 64} - {code}\n")
    words = ("-C", "generate_prompts", "-n", "team", "-t", "v1", "--registry", registry, "--push")
    call(
        *("bash", "build_images.sh", *words, "--lock", str(lock)),
        cwd=ROOT,
        env=os.environ | {"CONTAINER_ENGINE": engine.program},
    )
    assert other in lock.read_text().splitlines()
    image = read_lock(lock)["generate_prompts"]
    spec = ComponentSpec.from_file(ROOT / "components" / "generate_prompts")
    assert image.code == (code_digest(spec),)
    assert image.name == f"{registry}/team/generate_prompts:v1"
    assert image.anywhere.startswith(f"{registry}/team/generate_prompts@sha256:")
    call(engine.program, "image", "rm", image.name)
    call(engine.program, "pull", "--quiet", image.anywhere)
    template = ("--format", "{{.Id}}")
    found = call(engine.program, "image", "inspect", *template, image.anywhere)
    assert found == image.here
    call(engine.program, "image", "rm", image.anywhere)
