"""Secrets planted wherever a run can take them from appear in none of its outputs."""

import base64
import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from fondant_spec.exit_codes import EXIT_TEMPORARY
from tests.runners.kfp_server import KfpServer, serving

PIPELINE = Path(__file__).parent / "pipeline_with_secrets.py"
PASSWORDS = {
    "INNOCENT": "http://crawler:in-variable-%21@proxy.invalid:3128",
    "HTTPS_PROXY": "http://someone:in-proxy-7f3a@proxy.invalid:3128",
    "INDEX_URL": "http://someone:in-index-22b9@index.invalid/knn-service",
    "HF_TOKEN": "hf_inHuggingFace81c0",
    "AWS_ACCESS_KEY_ID": "AKIAINAMAZON5D2E",
    "AWS_SECRET_ACCESS_KEY": "in/amazon+0b44",
    "OPENAI_API_KEY": "sk-in-openai-9d10",
    "KUBEFLOW_TOKEN": "in-kubeflow-61aa",
}
IN_FILE = "crawler:in-file-4e5d"
PLANTED = [
    "in-variable-%21",
    "in-variable-!",
    "in-proxy-7f3a",
    "in-index-22b9",
    "inHuggingFace81c0",
    "AKIAINAMAZON5D2E",
    "in/amazon+0b44",
    "in-openai-9d10",
    "in-kubeflow-61aa",
    "in-file-4e5d",
    "in-host-c3f1",
]
FORMS = [form for s in PLANTED for form in (s.encode(), base64.b64encode(s.encode())[:-4])]


@pytest.fixture
def secret_file(tmp_path):
    """Return a file with a secret, which lies beside what a run leaves."""
    file = tmp_path / "kept" / "secret"
    file.parent.mkdir()
    file.write_text(f"{IN_FILE}\n")
    return file


def start(tmp_path, secret_file, *words, **variables):
    """Run the pipeline file; return its exit code, its output, and every `ps` line of it."""
    base = tmp_path / "base"
    command = [sys.executable, str(PIPELINE), "--base-path", str(base), "--debug", *words]
    process = subprocess.Popen(
        [*command, "--secret-file", str(secret_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"HOST": ""} | PASSWORDS | variables,
    )
    lines = set()
    family = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            lines.update(
                " ".join(one.cmdline()) for one in [family, *family.children(recursive=True)]
            )
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.02)
    return process.returncode, process.stdout.read(), "\n".join(sorted(lines))


def left(folder):
    """Yield every file below a folder as bytes: its name, content, and cells where it has any."""
    for file in sorted(folder.rglob("*")):
        yield str(file).encode()
        if file.is_file():
            yield file.read_bytes()
            if file.suffix == ".parquet":
                yield str(pq.read_table(file).to_pylist()).encode()
            if file.suffix == ".gz":
                yield gzip.decompress(file.read_bytes())


def leaks(*texts):
    """Return which secrets are in some bytes."""
    return sorted({form for text in texts for form in FORMS if form in text})


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_tells_no_secret(tmp_path, secret_file, fails):
    """Whether it ends well or not: not in output, files or `ps`, though a component tells it."""
    words = ["--set", "variable.@max_reject_share=1", "--set", "file.@max_reject_share=1"]
    if fails:
        words += ["--set", "file.fails=true"]
    code, output, processes = start(tmp_path, secret_file, *words)
    assert code == fails, output.decode()
    assert "--secret env:INNOCENT" in processes
    assert output.count(b"signing in with http://***@proxy.invalid:3128") == 3, output.decode()
    assert output.count(b"signing in with ***\n") == 3, output.decode()
    files = [*left(tmp_path / "base")]
    assert any(b"http://***@proxy.invalid:3128 was refused" in text for text in files)
    assert leaks(output, processes.encode(), *files) == []


def test_a_submitted_run_tells_no_secret(tmp_path, secret_file):
    """A package holds the names of secrets; HOST's user signs in, and is in no error or address."""
    user = base64.b64encode(b"admin:in-host-c3f1").decode()
    words = ["--until", "variable", "--no-follow"]
    settings = {
        "BASE_PATH": "s3://bucket/base",
        "KUBEFLOW_SECRETS": "INNOCENT=proxy/url",
        "KUBEFLOW_TOKEN": "",
    }
    with serving(KfpServer(headers={"Authorization": f"Basic {user}"})) as server:
        settings["HOST"] = server.url.replace("://", "://admin:in-host-c3f1@")
        words += ["--base-path", "s3://bucket/base"]
        code, output, _ = start(tmp_path, secret_file, *words, **settings)
        package = tmp_path / "package.yaml"
        start(tmp_path, secret_file, *words, "--compile-only", str(package), **settings)
        assert code == 0, output.decode()
        assert f"{server.url}/#/runs/details/".encode() in output
        assert b"env:INNOCENT" in package.read_bytes()
        assert leaks(output, package.read_bytes(), str(server.runs).encode()) == []
    code, output, _ = start(tmp_path, secret_file, *words, **settings)
    assert code == EXIT_TEMPORARY
    assert f"error: {server.url} refuses connections".encode() in output
    assert leaks(output) == []
