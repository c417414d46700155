"""Malicious images through the steps that decode them, run as by runners: which ones come out."""

from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import pyarrow as pa

from fondant_spec.testing import Result, run_component
from tests.tiny_models import make_model

_COMPONENTS: Final = Path(__file__).parents[1] / "components"
_OPTIONS: Final = {"max_reject_share": "1", "cache": "false"}
_LENIENT: Final = {"allow_private_hosts": True, "allowed_ports": [], "min_image_size": 0}

Images = Mapping[str, bytes]
Reasons = dict[str, str | None]
"""Why an image was rejected, by its name; None for one that came out."""


def load(images: Images, folder: Path) -> Reasons:
    """Load a folder of the images."""
    source = folder / "images"
    source.mkdir(parents=True)
    names = {f"{name}.{name.split('-')[0]}": name for name in sorted(images)}
    for file, name in names.items():
        (source / file).write_bytes(images[name])
    options = _OPTIONS | {"produces": "{}"}
    result = run_component(
        _COMPONENTS / "load_from_hub", None, folder, options=options, dataset_name=str(source)
    )
    return _reasons(list(names.values()), result)


def download(images: Images, folder: Path) -> Reasons:
    """Fetch the images from a server of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = images.get(self.path[1:])
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        names = sorted(images)
        urls = [f"http://127.0.0.1:{server.server_port}/{name}" for name in names]
        table = pa.table({"image_url": urls})
        component = _COMPONENTS / "download_images"
        result = run_component(component, table, folder, options=_OPTIONS, **_LENIENT)
        server.shutdown()
    return _reasons(names, result)


def caption(images: Images, folder: Path) -> Reasons:
    """Caption the images with a tiny model."""
    names = sorted(images)
    table = pa.table({"image": pa.array([images[name] for name in names], pa.binary())})
    model = folder.parent / "blip"
    if not model.exists():
        make_model("blip", model)
    component = _COMPONENTS / "caption_images"
    result = run_component(
        component, table, folder, options=_OPTIONS, model_id=str(model), min_new_tokens=4
    )
    return _reasons(names, result)


def export(images: Images, folder: Path) -> Reasons:
    """Export the images, with captions."""
    names = sorted(images)
    table = pa.table(
        {"image": pa.array([images[name] for name in names], pa.binary()), "caption": names}
    )
    target = folder / "out"
    result = run_component(
        _COMPONENTS / "export_dataset", table, folder, options=_OPTIONS, output_path=str(target)
    )
    return _reasons(names, result)


STEPS: Final[Mapping[str, Callable[[Images, Path], Reasons]]] = {
    step.__name__: step for step in (load, download, caption, export)
}


def _reasons(names: list[str], result: Result) -> Reasons:
    """Return what became of each image, all of which must be told of."""
    rejects = {int(row["id"]): row["reason"] for row in result.rejects.to_pylist()}
    assert len(result.table) in (0, len(names) - len(rejects))  # 0 of a step that writes
    return {name: rejects.get(number) for number, name in enumerate(names)}
