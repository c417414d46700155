"""A clip-retrieval index folder of the collection, made with the tiny CLIP.

    index/image.index                    FAISS, inner product of normalised vectors
    index/metadata/metadata_0.parquet    url, caption, width, height, NSFW, license; row i is id i
    index/img_emb/img_emb_0.npy          the vectors themselves, float32, (pages, dimension)
    index/indices_paths.json             what `clip-retrieval back` is started with
    index/image.json                     which model made the vectors, by its weights
    index/index.json                     the marker, written last

Faulty pages are indexed by the images that they had when they were crawled, as on the real web.
"""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image, ImageOps

from demo.collection import ROOT, write_marker
from demo.index_marker import FOLDER, is_current, marker_of, model_digest, wanted
from demo.model_classes import CLIPModel, CLIPProcessor
from demo.tiny_models import CLIP_FOLDER, embed_images

NAME = "demo"
BATCH = 64
DECODERS = 2
NSFW = "UNLIKELY"  # true of all sixteen photographs
COLUMNS = ("url", "caption", "width", "height", "NSFW", "license")


def build_index(root: Path = ROOT, clip: Path = CLIP_FOLDER) -> Path:
    """Index the collection in `root` unless it is indexed; return the index folder.

    Args:
        root: a finished collection.
        clip: the folder of the CLIP model, recorded in `indices_paths.json` as `hf_clip:<clip>`.
    """
    folder = root / FOLDER
    if is_current(root, clip):
        return folder
    marker = marker_of(root)
    marker.unlink(missing_ok=True)
    for name in ("metadata", "img_emb"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pages = pq.read_table(root / "pages.parquet")
    vectors = _embed(root, pages["url"].to_pylist(), clip)
    _write(folder, pages, vectors, clip)
    write_marker(marker, wanted(root, clip), sha256(vectors.tobytes()).hexdigest())
    return folder


def _write(folder: Path, pages: pa.Table, vectors: np.ndarray, clip: Path) -> None:
    metadata = pages.append_column("NSFW", pa.array([NSFW] * len(pages))).select(list(COLUMNS))
    pq.write_table(metadata, folder / "metadata" / "metadata_0.parquet")
    np.save(folder / "img_emb" / "img_emb_0.npy", vectors)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(folder / "image.index"))
    options = {
        "indice_folder": str(folder.resolve()),
        "clip_model": f"hf_clip:{clip.resolve()}",
        "columns_to_return": list(COLUMNS),
        "enable_mclip_option": False,
        "provide_aesthetic_embeddings": False,
        "provide_safety_model": False,
        "provide_violence_detector": False,
    }
    (folder / "indices_paths.json").write_text(json.dumps({NAME: options}, indent=1))
    model = {"model_id": clip.name, "weights": f"sha256:{model_digest(clip)}"}
    (folder / "image.json").write_text(json.dumps(model, indent=1))


def _embed(root: Path, urls: list[str], clip: Path) -> np.ndarray:
    """Return the normalised vector of each page's image, float32, (pages, dimension)."""
    model = CLIPModel.from_pretrained(clip, local_files_only=True).eval()
    processor = CLIPProcessor.from_pretrained(clip, local_files_only=True)
    vectors = []
    with torch.inference_mode():
        for images in _pictures(root, urls):
            pixels = processor.image_processor(images, return_tensors="pt")["pixel_values"]
            vectors.append(embed_images(model, pixels).numpy())
    return np.concatenate(vectors)


def _pictures(root: Path, urls: list[str]) -> Iterator[list[Image.Image]]:
    """Yield the images in batches, in the order of the URLs."""
    faults = json.loads((root / "faults.json").read_text())

    def picture(url: str) -> Image.Image:
        path = urlsplit(url).path.removeprefix("/")
        crawled = root / "crawled" / path
        alive = root / "web" / faults.get(path, {}).get("to", path)
        data = (crawled if crawled.is_file() else alive).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            return ImageOps.exif_transpose(image).convert("RGB")

    with ThreadPoolExecutor(DECODERS) as pool:
        for start in range(0, len(urls), BATCH):
            yield list(pool.map(picture, urls[start : start + BATCH]))
