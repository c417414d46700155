"""The crash tests' object store: SeaweedFS behind a proxy that fails a share of all requests."""

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.crash_tally import Series, Tally
from benchmarks.crash_undisturbed import Undisturbed
from fondant_spec.dataset import storage
from fondant_spec.pipeline.graph import Pipeline
from tests.fault_proxy import disturbing, seeded
from tests.object_stores import BUCKET, s3_server

SHARE = 0.1
"""Of requests that fail: with a 503, or a reset before or after the request is forwarded."""


def disturb_store(
    build: Callable[[str], Pipeline], folder: Path, tally: Tally, times: int, seed: int
) -> None:
    """Run steps on a store that fails often, until the given number is reached; each must succeed.

    `build` makes the pipeline for a base path.
    """
    choice = random.Random(f"{seed}-{len(tally.series)}")  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as place, s3_server(Path(place)) as direct:
        os.environ.update(direct)
        undisturbed = Undisturbed(build(f"s3://{BUCKET}/base"), folder / "store.log")
        while tally.count("store") < times:
            step = choice.choice(list(undisturbed.steps))
            storage.remove(undisturbed.folder(step).location)
            undisturbed.log.write_text("")
            series = Series("store", step)
            faults = seeded(choice.randrange(1 << 32), SHARE)
            with disturbing(direct["AWS_ENDPOINT_URL"], faults) as proxy:
                run = undisturbed.start(step, {"AWS_ENDPOINT_URL": proxy.url})
                undisturbed.compare(series, run)
                series.faults = len(proxy.faults)
            tally.add(series)
            print(f"{tally.count('store')} store: {series.faults} faults in {step}", flush=True)
