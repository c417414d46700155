"""A small web: a few thousand image files with addresses, alt texts, duplicates and faults.

The folder (`artifacts/demo` by default) contains:

    web/             the files that the host serves, each at its own path
    faults.json      the paths that the host answers in some other way
    crawled/         the images of faulty pages, as they were when crawled
    pages.parquet    what the crawler recorded: url, caption, width, height, license
    truth.parquet    url, subject, kind; for the evaluation only
    collection.json  the marker, written last: a folder without it is unfinished
"""

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from demo import crops
from demo.alt_text import alt_text
from demo.photos import BY_SUBJECT, SUBJECTS
from fondant_spec.errors import InvalidConfigError

ROOT = Path("artifacts/demo")
PORT = 8642
PAGES = 3_000
SEED = 7
WORKERS = 2
MARKER = "collection.json"
CLAIM = ".made-by-demo"
RECIPE = ("alt_text.py", "collection.py", "crops.py", "photos.py")

# What is behind a URL, and how often. Everything except images and duplicates is what happens to a
# crawl over the years: only a redirect still leads to the image, and an opted-out page forbids its
# use.
KINDS = {
    "exact_duplicate": 0.02,
    "near_duplicate": 0.03,
    "not_found": 0.008,
    "truncated": 0.006,
    "html": 0.005,
    "server_error": 0.005,
    "redirect": 0.006,
    "redirect_loop": 0.004,
    "empty": 0.003,
    "tiny": 0.004,
    "opted_out": 0.003,
    "image": 0.906,
}
INTACT = ("image", "exact_duplicate", "near_duplicate", "redirect", "opted_out")
FORMATS = {"jpg": 0.88, "grey.jpg": 0.03, "turned.jpg": 0.03, "png": 0.03, "webp": 0.03}
FOLDERS = ("wp-content/uploads/{year}/{month:02}", "media/catalog", "images/{year}", "photos", "i")
ORIENTATION_TAG, TURNED_RIGHT = 0x0112, 6  # EXIF: "rotate by 90 degrees for display"
LARGEST_PNG = 320  # pixels; noise does not compress


@dataclass(frozen=True)
class Page:
    """One address of the collection, and its image before anything broke."""

    index: int
    kind: str
    subject: str
    path: str
    caption: str | None
    data: bytes
    width: int
    height: int


def make_collection(
    root: Path = ROOT, *, pages: int = PAGES, port: int = PORT, seed: int = SEED
) -> Path:
    """Write the collection into `root`, unless a finished one of the same recipe is there.

    Args:
        root: the folder; what an older recipe left in it is replaced.
        pages: the number of addresses.
        port: the port of 127.0.0.1 in the addresses.
        seed: the random seed; another one gives another collection of the same kind.

    Returns:
        `root`.

    Raises:
        InvalidConfigError: `root` contains other files.
    """
    marker = root / MARKER
    config = {"pages": pages, "port": port, "seed": seed, "recipe": recipe_digest(RECIPE)}
    if marker.is_file() and json.loads(marker.read_text())["config"] == config:
        return root
    _claim(root)
    marker.unlink(missing_ok=True)
    for folder in ("web", "crawled"):
        shutil.rmtree(root / folder, ignore_errors=True)
    faults: dict[str, dict[str, str]] = {}
    rows, truth, digest = [], [], sha256()
    for page in _pages(pages, seed):
        faults |= _publish(page, root)
        url = f"http://127.0.0.1:{port}/{page.path}"
        license_ = BY_SUBJECT[page.subject].credit
        rows.append((url, page.caption, page.width, page.height, license_))
        truth.append((url, page.subject, page.kind))
        digest.update(f"{page.path} {page.kind} {page.caption} ".encode() + page.data)
    (root / "faults.json").write_text(json.dumps(faults, indent=1, sort_keys=True))
    write_table(root / "pages.parquet", ("url", "caption", "width", "height", "license"), rows)
    write_table(root / "truth.parquet", ("url", "subject", "kind"), truth)
    write_marker(marker, config, digest.hexdigest())
    return root


def _claim(root: Path) -> None:
    """Mark `root` as belonging to this module, since its contents will be replaced."""
    claim = root / CLAIM
    owned = claim.exists() or (root / MARKER).exists()
    if root.is_dir() and any(root.iterdir()) and not owned:
        message = f"{root} holds files that the demo did not make: name an empty folder instead"
        raise InvalidConfigError(message)
    root.mkdir(parents=True, exist_ok=True)
    claim.touch()


def recipe_digest(modules: tuple[str, ...]) -> str:
    """Return a digest of the modules that determine the result, so that changes remake it."""
    digest = sha256()
    for module in modules:
        digest.update((Path(__file__).parent / module).read_bytes())
    return digest.hexdigest()[:16]


def write_marker(path: Path, config: dict[str, object], digest: str) -> None:
    """Write a marker atomically; it means that everything else is complete."""
    partial_path = path.with_suffix(".partial")
    partial_path.write_text(json.dumps({"config": config, "sha256": digest}, indent=1))
    partial_path.replace(path)


def write_table(path: Path, names: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    """Write rows as one Parquet file."""
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, names=list(names)), path)


def _pages(count: int, seed: int) -> Iterator[Page]:
    """Make the pages in order, on all cores."""
    rng = np.random.default_rng(seed)
    named = [kind for kind, share in KINDS.items() for _ in range(round(share * count))]
    kinds = rng.permutation([*named, *["image"] * count][:count])
    originals = np.flatnonzero(kinds == "image")
    copied = [
        int(rng.choice(originals)) if kind.endswith("duplicate") else index
        for index, kind in enumerate(kinds)
    ]
    make = partial(_page, seed)
    with ProcessPoolExecutor(WORKERS, get_context("spawn")) as pool:
        yield from pool.map(make, range(count), map(str, kinds), copied, chunksize=32)


def _page(seed: int, index: int, kind: str, copied: int) -> Page:
    """Make one page; a duplicate draws the same as page `copied`, but at its own address.

    A near-duplicate is the same image rescaled and recompressed, as other sites would.
    """
    drawn = np.random.default_rng((seed, copied))
    own = np.random.default_rng((seed, index, 1))
    subject = SUBJECTS[int(drawn.integers(len(SUBJECTS)))]
    format_ = str(drawn.choice(list(FORMATS), p=list(FORMATS.values())))
    long_side = int(drawn.integers(200, 641))
    quality = int(drawn.integers(40, 96))
    crop = crops.draw(drawn, subject, "collection", "grey" if format_ == "grey.jpg" else None)
    image = crops.render(crop, long_side, drawn)
    if kind == "near_duplicate":
        smaller = [round(side * own.uniform(0.8, 0.95)) for side in image.size]
        image = image.resize((smaller[0], smaller[1]), Image.Resampling.BICUBIC)
        quality, format_ = int(own.integers(50, 90)), "jpg"
    data, suffix = _encode(image, format_, quality)
    folder = str(own.choice(FOLDERS)).format(year=own.integers(2009, 2024), month=index % 12 + 1)
    return Page(
        index=index,
        kind=kind,
        subject=subject,
        path=f"{folder}/{own.bytes(5).hex()}{index:x}.{suffix}",
        caption=alt_text(own, crop),
        data=data,
        width=image.width,
        height=image.height,
    )


def _encode(image: Image.Image, format_: str, quality: int) -> tuple[bytes, str]:
    """Return the encoded file and its suffix."""
    buffer = io.BytesIO()
    if format_ == "png":
        image.thumbnail((LARGEST_PNG, LARGEST_PNG))
        image.save(buffer, "PNG", compress_level=2)
    elif format_ == "webp":
        image.save(buffer, "WEBP", quality=quality, method=2)
    elif format_ == "turned.jpg":
        exif = Image.Exif()
        exif[ORIENTATION_TAG] = TURNED_RIGHT
        turned = image.transpose(Image.Transpose.ROTATE_90)
        turned.save(buffer, "JPEG", quality=quality, exif=exif)
    else:
        picture = image.convert("L") if format_ == "grey.jpg" else image
        picture.save(buffer, "JPEG", quality=quality, progressive=quality % 3 == 0)
    return buffer.getvalue(), format_.rsplit(".", maxsplit=1)[-1]


def _publish(page: Page, root: Path) -> dict[str, dict[str, str]]:
    """Write the page's files; return how the host must answer if not by simply serving a file."""
    if page.kind not in INTACT:
        _write(root / "crawled" / page.path, page.data)
    moved = f"cdn/{page.index:06}-{Path(page.path).name}"
    match page.kind:
        case "truncated":
            _write(root / "web" / page.path, page.data[: len(page.data) // 2])
        case "empty":
            _write(root / "web" / page.path, b"")
        case "tiny":
            pixel, _ = _encode(Image.new("RGB", (1, 1)), "jpg", 90)
            _write(root / "web" / page.path, pixel)
        case "redirect":
            _write(root / "web" / moved, page.data)
            return {page.path: {"kind": "redirect", "to": moved}}
        case "redirect_loop":
            back, forth = {"kind": "redirect", "to": page.path}, {"kind": "redirect", "to": moved}
            return {page.path: forth, moved: back}
        case "not_found" | "server_error" | "html":
            return {page.path: {"kind": page.kind}}
        case _:
            _write(root / "web" / page.path, page.data)
    return {page.path: {"kind": "opted_out"}} if page.kind == "opted_out" else {}


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
