# ruff: noqa: S603, S310 - the programs and the address are this file's own
"""clip-retrieval as a peer: in its own environment, with its service on an index built here.

Its pins (numpy 1, pyarrow below 16) conflict with ours, so it lives in `.venvs/clip-retrieval`,
created on first use. `back` runs its real service; `ask` runs its real client in that environment.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VENV = Path(__file__).parents[1] / ".venvs" / "clip-retrieval"
PYTHON = VENV / "bin" / "python"
PACKAGES = (
    "clip-retrieval==2.45.0",
    "torch==2.13.0",
    "torchvision==0.28.0",
    "faiss-cpu==1.15.1",
    "setuptools<81",
)
START_SECONDS = 150

# torchvision's wheel is built for CUDA. Beside a CPU build of torch, its import fails unless these
# two operators are declared. The service would listen on all addresses; this restricts it to
# loopback.
PREPARE = """
import json, sys, torch
operators = torch.library.Library("torchvision", "DEF")
operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
TINY_CLIP = """
from pathlib import Path
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer
torch.manual_seed(0)
folder = Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / "vocab.json").write_text('{"<|startoftext|>": 0, "<|endoftext|>": 1}')
(folder / "merges.txt").write_text("#version: 0.2\\n")
tower = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2,
         "num_hidden_layers": 2}
text = {**tower, "vocab_size": 49408, "eos_token_id": 49407, "bos_token_id": 49406}
vision = {**tower, "image_size": 32, "patch_size": 8}
config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=int(sys.argv[2]))
images = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
words = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
CLIPModel(config).save_pretrained(folder)
CLIPProcessor(images, words).save_pretrained(folder)
"""
BACK = """
import flask
run = flask.Flask.run
flask.Flask.run = lambda app, host, **options: run(app, host="127.0.0.1", **options)
from clip_retrieval.clip_back import clip_back
clip_back(**json.loads(sys.argv[1]))
"""
CLIENT = """
import time
from clip_retrieval.clip_client import ClipClient
asked = json.load(sys.stdin)
told = []
for settings in asked["clients"]:
    client = ClipClient(**settings)
    client.query(embedding_input=asked["queries"][0])
    start = time.perf_counter()
    answers = [client.query(embedding_input=query) for query in asked["queries"]]
    told.append({"seconds": time.perf_counter() - start, "answers": answers})
json.dump(told, sys.stdout)
"""


def make_environment() -> None:
    """Install clip-retrieval into its own environment, unless it is installed already."""
    done = VENV / ".done"
    if done.is_file() and done.read_text() == "\n".join(PACKAGES):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--no-compile"]
    subprocess.run([*pip, *PACKAGES], check=True)
    done.write_text("\n".join(PACKAGES))


def make_tiny_clip(folder: Path, dimension: int) -> Path:
    """Write an untrained CLIP that the service can load, and return its folder."""
    command = [str(PYTHON), "-c", PREPARE + TINY_CLIP, str(folder), str(dimension)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@contextmanager
def back(
    listing: Path,
    clip: Path,
    columns: Sequence[str],
    log: Path,
    **options: Any,
) -> Iterator[str]:
    """Run `clip-retrieval back` on an `indices_paths.json`, and yield its address.

    `clip` is the folder of a CLIP model in the transformers format; `columns` are the metadata
    columns that it returns.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "indices_paths": str(listing),
        "port": port,
        "clip_model": f"hf_clip:{clip}",
        "columns_to_return": list(columns),
        "enable_mclip_option": False,
        "use_jit": False,
        "provide_safety_model": False,
        "provide_violence_detector": False,
        "provide_aesthetic_embeddings": False,
        **options,
    }
    command = [str(PYTHON), "-c", PREPARE + BACK, json.dumps(settings)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield _wait(f"http://127.0.0.1:{port}", process, log)
        finally:
            process.kill()
            process.wait()


def ask(
    clients: Sequence[dict[str, Any]],
    queries: Sequence[Sequence[float]],
) -> list[dict[str, Any]]:
    """Send all queries in turn with each of several `ClipClient`s, given by their settings.

    Returns, for each client, the `seconds` that it took (excluding its start), and its `answers`.
    """
    asked = {"clients": clients, "queries": queries}
    command = [str(PYTHON), "-c", PREPARE + CLIENT]
    done = subprocess.run(
        command, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return the address once the service answers there."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/indices-list", timeout=5):
                return url
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    msg = f"clip-retrieval back did not start:\n{log.read_text(errors='replace')[-3000:]}"
    raise RuntimeError(msg)
