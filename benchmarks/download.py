"""Measures download_images against img2dataset, Fondant 0.12.1 and a pool of requests threads.

    python benchmarks/download.py --fondant DIR [--json]

All peers get the same URLs of photo-like JPEGs on one local host, in turn within one run; each in
its own environment, created under `.venvs/` on first use. `--fondant` names a checkout of Fondant
0.12.1. Needs `pip install -e '.[components,demo]' psutil`.

The whole program is timed from start to end, including imports and worker processes; the steady
rate is that of the call alone.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.peak_memory import Watch
from demo.photos import BY_SUBJECT
from image_toolkit.images.decoding import decode_pixels
from image_toolkit.images.rendering import Rendering

ROOT = Path(__file__).parents[1]
VENVS = ROOT / ".venvs"
PHOTOS = ROOT / "artifacts" / "benchmarks" / "photos"
FAULTS = ("missing",) * 3 + ("truncated", "page") * 2 + ("broken", "stalled", "missing")
SAMPLES = 100


@dataclass(frozen=True)
class Case:
    """The settings of one measurement."""

    mode: str
    latency_ms: int
    bad_share: float

    def __str__(self) -> str:
        bad = f"{self.bad_share:.0%} bad" if self.bad_share else "clean"
        return f"{self.mode}, {self.latency_ms} ms, {bad}"


@dataclass(frozen=True)
class Figures:
    """The cost of one run: of the whole program, and of the call without imports."""

    images: int
    seconds: float
    call_seconds: float
    cpu_seconds: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Images per second, of the whole program."""
        return self.images / self.seconds

    @property
    def steady_rate(self) -> float:
        """Images per second, of the call alone."""
        return self.images / self.call_seconds


CROP = Case("center_crop", 0, 0.0)
CASES = {
    CROP: ("ours", "img2dataset", "fondant", "requests", "limit"),
    Case("center_crop", 50, 0.0): ("ours", "img2dataset", "fondant", "requests", "limit"),
    Case("center_crop", 0, 0.1): ("ours", "img2dataset", "requests"),
    Case("center_crop", 50, 0.1): ("ours", "img2dataset", "requests"),
    Case("no", 0, 0.0): ("ours", "ours_decoded", "img2dataset", "requests", "limit"),
    Case("no", 50, 0.0): ("ours", "ours_decoded", "img2dataset", "limit"),
}


def make_photos(count: int) -> None:
    """Write crops of real photographs: 0.25 to 0.85 megapixels, quality 75 to 95."""
    PHOTOS.mkdir(parents=True, exist_ok=True)
    if len(list(PHOTOS.glob("*.jpg"))) == count:
        return
    photos = [Image.open(photo.path()).convert("RGB") for photo in BY_SUBJECT.values()]
    chance = random.Random(0)  # noqa: S311 - the same images each time
    for number in range(count):
        photo = chance.choice(photos)
        width, height = (int(side * chance.uniform(0.5, 1)) for side in photo.size)
        left = chance.randint(0, photo.width - width)
        top = chance.randint(0, photo.height - height)
        scale = (chance.uniform(0.25e6, 0.85e6) / (width * height)) ** 0.5
        crop = photo.crop((left, top, left + width, top + height))
        scaled = crop.resize((int(width * scale), int(height * scale)), Image.Resampling.LANCZOS)
        scaled.save(PHOTOS / f"{number:05}.jpg", quality=chance.randint(75, 95))


def urls_of(base: str, count: int, bad_share: float) -> list[str]:
    """Return the URLs, with the bad ones spread evenly among them."""
    every = round(1 / bad_share) if bad_share else 0
    urls = []
    for number in range(count):
        fault = FAULTS[number // every % len(FAULTS)] if every and number % every == 0 else ""
        urls.append(f"{base}/{fault + '/' if fault else ''}{number}.jpg")
    return urls


@contextmanager
def host(latency_ms: int, photos: Path = PHOTOS) -> Iterator[str]:
    """Serve photographs from a separate process; yield the base URL."""
    command = [sys.executable, str(ROOT / "benchmarks/download_host.py")]
    command += [str(photos), str(latency_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def python_of(name: str, fondant: Path | None) -> Path | None:
    """Return a peer's interpreter, creating its environment if needed; None if not available."""
    requirements: list[str | Path]
    if name == "img2dataset":
        requirements = ["img2dataset==1.47.0"]
    elif name == "fondant" and fondant is not None:
        own = fondant / "src/fondant/components/download_images/requirements.txt"
        # It does not work with the newest versions that its open ranges allow.
        requirements = [fondant, "-r", own, "numpy<2", "pandas<2.3", "pyarrow<16"]
    elif name == "requests":
        requirements = ["requests", "opencv-python-headless<5", "pyarrow"]
    else:
        return None if name == "fondant" else Path(sys.executable)
    python = VENVS / name / "bin" / "python"
    made = VENVS / name / "made"
    if not made.exists():
        print(f"making {python.parents[1]}", file=sys.stderr)
        try:
            subprocess.run([sys.executable, "-m", "venv", VENVS / name], check=True)  # noqa: S603
            subprocess.run([python, "-m", "pip", "install", "-q", *requirements], check=True)  # noqa: S603
        except subprocess.CalledProcessError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            return None
        made.touch()
    return python


def measure(name: str, python: Path, urls: list[str], mode: str, fondant: Path | None) -> Figures:
    """Run one peer once."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "urls.json").write_text(json.dumps(urls))
        (Path(folder) / "fondant.json").write_text(json.dumps(str(fondant)))
        command = [str(python), str(ROOT / "benchmarks/download_peers.py"), name]
        command += [f"{folder}/urls.json", folder, mode]
        start = time.perf_counter()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        log = Path(folder) / "log.txt"
        with (
            log.open("w") as errors,
            subprocess.Popen(  # noqa: S603
                command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT
            ) as process,
        ):
            watch = Watch(process.pid)
            output = process.communicate()[0]
            peak = watch.stop()
        told = log.read_text()[-2000:]
        seconds = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        message = f"{name} ended with {process.returncode}:\n{told}"
        raise RuntimeError(message)
    result = json.loads(output.splitlines()[-1])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figures(result["images"], seconds, result["seconds"], cpu, peak)


def median(runs: list[Figures]) -> Figures:
    """Return the run with the median rate."""
    rate = statistics.median_low(run.rate for run in runs)
    return next(run for run in runs if run.rate == rate)


def mean_ssim() -> float:
    """Return the mean SSIM of our centre crops and a Lanczos resize of the fully decoded image."""
    rendering = Rendering(
        512, "center_crop", resize_only_if_bigger=False, min_image_size=0, max_aspect_ratio=1e9
    )
    scores = []
    for path in sorted(PHOTOS.glob("*.jpg"))[:SAMPLES]:
        image = Image.open(path).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side))
        reference = np.asarray(square.resize((512, 512), Image.Resampling.LANCZOS))
        ours = decode_pixels(rendering.render(path.read_bytes()).data)
        likeness: Any = structural_similarity  # it has no types
        scores.append(likeness(reference, ours, channel_axis=2))
    return float(np.mean(scores))


def show(results: dict[Case, dict[str, Figures]]) -> None:
    """Print the table."""
    print("\n| case | who | images/s | steady images/s | CPU s per 1,000 | peak MB | images |")
    print("|---|---|---|---|---|---|---|")
    for case, by_name in results.items():
        for name, run in by_name.items():
            cpu = 1000 * run.cpu_seconds / run.images
            rates = f"{run.rate:.0f} | {run.steady_rate:.0f}"
            print(f"| {case} | {name} | {rates} | {cpu:.2f} | {run.peak_mb:.0f} | {run.images} |")


def summary(results: dict[Case, dict[str, Figures]]) -> dict[str, object]:
    """Return the headline figures (centre crop, clean, 0 ms) and the table behind them."""
    crop = results[CROP]
    ours = crop["ours"]

    def ratio(name: str) -> float | None:
        return round(ours.rate / crop[name].rate, 3) if name in crop else None

    def cpu(run: Figures) -> float:
        return run.cpu_seconds / run.images

    peer = crop.get("img2dataset")
    return {
        "img2dataset_ratio": ratio("img2dataset"),
        "fondant_ratio": ratio("fondant"),
        "requests_ratio": ratio("requests"),
        "cpu_ratio": round(cpu(ours) / cpu(peer), 3) if peer else None,
        "limit_share": (
            round(ours.steady_rate / crop["limit"].steady_rate, 3) if "limit" in crop else None
        ),
        "ssim": round(mean_ssim(), 4),
        "table": {
            str(case): {
                n: asdict(r) | {"rate": r.rate, "steady_rate": r.steady_rate}
                for n, r in by_name.items()
            }
            for case, by_name in results.items()
        },
    }


def main() -> None:
    """Measure all cases and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--fondant", type=Path, help="checkout of Fondant 0.12.1")
    parser.add_argument("--urls", type=int, default=4000)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="contestants")
    parser.add_argument("--cases", type=int, default=len(CASES), help="the first so many cases")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    make_photos(options.photos)
    names = options.only or {name for contestants in CASES.values() for name in contestants}
    found = {name: python_of(name, options.fondant) for name in names}
    pythons = {name: python for name, python in found.items() if python is not None}
    results: dict[Case, dict[str, Figures]] = {}
    for case, contestants in list(CASES.items())[: options.cases]:
        runs: dict[str, list[Figures]] = {n: [] for n in contestants if n in pythons}
        with host(case.latency_ms) as base:
            for turn in range(options.repeat):
                for name, earlier in runs.items():
                    if name == "fondant" and turn:
                        continue  # a minute each, and not close
                    urls = urls_of(base, options.urls, case.bad_share)
                    figures = measure(name, pythons[name], urls, case.mode, options.fondant)
                    earlier.append(figures)
                    print(f"{case}: {name}: {figures.rate:.0f} images/s", file=sys.stderr)
        results[case] = {name: median(found) for name, found in runs.items()}
    show(results)
    if options.json:
        print(json.dumps(summary(results)))


if __name__ == "__main__":
    main()
