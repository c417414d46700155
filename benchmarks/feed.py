"""The feed of the models, in threads and in processes, against Pillow's way with a future a row.

    python benchmarks/feed.py [--images 512] [--rounds 3] [--tiny] [--json]

Photo-like JPEGs of 0.54 megapixels go through the feed to 224 (resized and cropped, as CLIP wants
them) and to 384 pixels (squashed, as BLIP does), by one thread and by as many as there are cores;
the best round counts. `all_processes` is the whole feed of a GPU: this process draws the groups,
and so many others prepare them as there are cores, less one from four on. `scaling` and
`scaling_of_processes` are the rates of all over that of one thread times their number, which no
feed reaches where two "cores" are the threads of one; `of_processes` is the rate of all threads
over what as many processes prepare that hand nothing on.

`parent_us_per_image` is the time of the processor that an image takes of this process when others
prepare it, which bounds the rate on many cores; `switches_per_image` how often one of its threads
gave up its core for that.

`core_ms` is what an image takes of one core. `gil_share` is the part of it that is spent outside of
the two calls that let go of Python's lock, libjpeg-turbo's and the resize: so it is the most that
the lock can be held. Of both, the best of some tries with each image counts.
`min_cosine` compares the vectors that CLIP makes of our pixels with those of Pillow's resize:
`demo` is trained, `B/32` has full size and random weights. `whole` compares with the model's own
processor on images that Pillow decoded whole.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.feed_costs import closeness, costs
from benchmarks.feed_processes import fed_by_processes, processes_here
from benchmarks.feed_rates import SIDES, WAYS, preparation, rates
from benchmarks.full_models import make_clip
from benchmarks.models import photos
from demo.tiny_models import CLIP_FOLDER
from fondant_spec.cpu import cpu_count

DISTINCT = 64
TWELVE_MEGAPIXELS = (4000, 3000)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3, help="each way's best one counts")
    parser.add_argument("--tiny", action="store_true", help="all parts, in seconds")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    images, rounds = (8, 1) if options.tiny else (options.images, options.rounds)
    torch.set_num_threads(cpu_count())
    cells = photos(min(images, DISTINCT))
    large = photos(1 if options.tiny else 5, TWELVE_MEGAPIXELS)
    some = [cells[number % len(cells)] for number in range(images)]
    by_rate = rates(some, rounds)
    by_process: dict[str, dict[str, float]] = {}
    for side in SIDES:
        for name, value in fed_by_processes(preparation(side), some, rounds).items():
            by_process.setdefault(name, {})[str(side)] = value
    by_cost = costs({"0.54 MP": cells[:16], "12 MP": large}, 4 * rounds)
    close = {"demo": closeness(CLIP_FOLDER, cells[:32])}
    if not options.tiny:
        with tempfile.TemporaryDirectory() as folder:
            close["B/32"] = closeness(make_clip(Path(folder), 32), cells[:32])
    result = summary(by_rate, by_process, by_cost, close)
    show(result)
    if options.json:
        print(json.dumps(result))


def summary(
    by_rate: dict[str, dict[str, dict[str, float]]],
    by_process: dict[str, dict[str, float]],
    by_cost: dict[str, dict[str, Any]],
    close: dict[str, dict[str, float]],
) -> dict[str, Any]:
    """Return all that was measured, and the worst of what has a target."""
    ways = {}
    for way in WAYS:
        one, every = by_rate[way]["one_thread"], by_rate[way]["all_threads"]
        scaling = {side: every[side] / (cpu_count() * one[side]) for side in one}
        ways[way] = {**by_rate[way], "scaling": scaling, **by_cost[way]}
    own = ways["ours"]
    shares = [own["all_threads"][side] / rate for side, rate in own["processes"].items()]
    return rounded(
        {
            "cores": cpu_count(),
            "one_thread": own["one_thread"],
            "all_threads": own["all_threads"],
            "all_processes": by_process["rate"],
            "scaling": min(own["scaling"].values()),
            "scaling_of_processes": min(
                rate / (processes_here() * own["one_thread"][side])
                for side, rate in by_process["rate"].items()
            ),
            "parent_us_per_image": by_process["parent_us_per_image"],
            "switches_per_image": by_process["switches_per_image"],
            "processes": own["processes"],
            "of_processes": min(shares),
            "gil_share": max(own["gil_share"].values()),
            "core_ms": own["core_ms"],
            "min_cosine": min(found["pillow"] for found in close.values()),
            "cosines": close,
            **ways,
        }
    )


def rounded(found: Any) -> Any:
    """Return figures with four digits, or six behind the point if they are about 1."""
    if isinstance(found, dict):
        return {name: rounded(one) for name, one in found.items()}
    return found if isinstance(found, int) else float(f"{found:.6g}")


def show(found: dict[str, Any]) -> None:
    """Print a table of both ways."""
    print(f"{'':<24}{'ours':>10}{'old':>10}")
    for name in ("one_thread", "all_threads", "scaling", "gil_share", "core_ms"):
        for what, value in found["ours"][name].items():
            print(f"{name + ' ' + what:<24}{value:>10.4g}{found['old'][name][what]:>10.4g}")
    for side, rate in found["processes"].items():
        print(f"{'processes ' + side:<24}{rate:>10.4g}")
    for name in ("all_processes", "parent_us_per_image", "switches_per_image"):
        for side, value in found[name].items():
            print(f"{name + ' ' + side:<24}{value:>10.4g}")
    print(f"{'scaling_of_processes':<24}{found['scaling_of_processes']:>10.4g}")
    for model, cosines in found["cosines"].items():
        print(f"{model}: least cosine to Pillow's resize {cosines['pillow']:.6f}, ", end="")
        print(f"to the whole image by the processor {cosines['whole']:.6f}")


if __name__ == "__main__":
    main()
