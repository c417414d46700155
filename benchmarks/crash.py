"""Crash tests: SIGKILL at random moments, each followed by a rerun that must give the same result.

    python benchmarks/crash.py --kills 200 --dask 50 --twice 200 --full-disk 10 --store 10

The local runner runs one step at a time, on the results of an undisturbed run. At a random moment
the runner, the step or one of its worker processes is killed; then the step is run again, and
perhaps killed once more. Its final result is compared with the undisturbed run: lost or duplicated
rows, files that differ from what their manifest says, and different bytes (for downloads, all but
the time of the download). For each kill, the benchmark counts the partitions that were started and
are computed again, the number that the killed processes were working on, and every process that
outlives its runner. With --dask the partitions run on a Dask cluster of two worker processes, and
workers and scheduler are killed as well; --twice starts two runs at the same moment; --full-disk
runs a step on a small disk that fills up, which needs root; --store uses a base path on an object
store where every tenth request fails: with a 503, or with a connection reset before or after the
request was executed.

With --into everything is kept there, and an interrupted campaign continues: the numbers are then
the totals to reach. With --json, runs 50 kills by default, and ends with one line of JSON.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))  # for its siblings, when run as a script

from benchmarks.crash_faults import KEPT, WORKERS, Cluster, Run, small_disk
from benchmarks.crash_store import disturb_store
from benchmarks.crash_tally import Kill, Series, Tally
from benchmarks.crash_undisturbed import Undisturbed
from benchmarks.crash_world import World
from demo.host import serving
from fondant_spec.pipeline.graph import Pipeline
from fondant_spec.pipeline.plan import PlannedStep
from fondant_spec.worker.base_components import StreamTransformComponent
from fondant_spec.worker.component_code import component_class

MOST_IN_A_ROW = 6
LEFT_OVER_AFTER = 60.0
SLOW = ("image_embedding", "caption_images")
"""Steps that load a model first: they are chosen less often."""
WRITTEN = ("data", "staged", "rejects", "checkpoints", "output")


class Campaign:
    """Runs, kills and compares the steps of one pipeline, in a base path of its own."""

    def __init__(self, pipeline: Pipeline, tally: Tally, *, seed: int = 0) -> None:
        self._tally = tally
        self._random = random.Random(f"{seed}-{len(tally.series)}")  # noqa: S311 - no secret
        self._base = Path(pipeline.base_path)
        self._pristine = self._base.with_name(f"{self._base.name}.pristine")
        if self._pristine.exists():  # from an interrupted campaign
            shutil.rmtree(self._base, ignore_errors=True)
            shutil.copytree(self._pristine, self._base)
        self._undisturbed = Undisturbed(pipeline, self._base.with_name(f"{self._base.name}.log"))
        shutil.copytree(self._base, self._pristine, dirs_exist_ok=True)
        self._at_hand = {
            name: partitions_at_hand(planned) for name, planned in self._undisturbed.steps.items()
        }

    def kill_often(self, kind: str, kills: int, cluster: Cluster | None = None) -> None:
        """Kill until the given number is reached, and rerun after each kill."""
        while (left := kills - self._tally.count(kind)) > 0:
            with self._anew(kind) as series:
                in_a_row = min(left, self._random.randint(1, MOST_IN_A_ROW))
                run = self._killed(series, in_a_row, cluster)
                self._undisturbed.compare(series, run or self._undisturbed.start(series.step))

    def start_twice(self, times: int) -> None:
        """Start two runs at once, until the given number is reached; both must succeed."""
        while self._tally.count("twice") < times:
            with self._anew("twice") as series:
                both = [self._undisturbed.start(series.step) for _ in range(2)]
                self._undisturbed.compare(series, *both)

    def fill_disk(self, times: int) -> None:
        """Run a step on a disk that is too small, and again when there is room.

        The first run must end with an error message, not with a traceback.
        """
        while self._tally.count("full disk") < times:
            with self._anew("full disk") as series:
                folder = self._folder(series.step)
                files = (file for file in self._pristine_of(folder).rglob("*") if file.is_file())
                needed = sum(file.stat().st_size for file in files)
                with small_disk(folder, self._random.randint(needed // 8, needed)) as grow:
                    self._undisturbed.start(series.step).wait()
                    said = self._undisturbed.log.read_text(encoding="utf-8")
                    series.faults = int(KEPT in said)
                    if f"[{series.step}] Traceback" in said:
                        series.fail(said)
                    grow()
                    self._undisturbed.compare(series, self._undisturbed.start(series.step))

    @contextmanager
    def _anew(self, kind: str) -> Iterator[Series]:
        """Yield a series with a step whose result is gone; restore everything afterwards."""
        spread = [name for name, at_hand in self._at_hand.items() if at_hand]
        steps = spread if kind == "dask" else list(self._at_hand)
        (step,) = self._random.choices(steps, [1 if name in SLOW else 6 for name in steps])
        series = Series(kind, step, stream=step not in spread)
        folder = self._folder(step)
        shutil.rmtree(folder)
        self._undisturbed.log.write_text("")
        yield series
        self._tally.add(series)
        print(f"{self._tally.count(kind)} {kind}: {self._tally.to_dict()}", file=sys.stderr)
        if not series.identical:  # kept for inspection
            shutil.copytree(folder, self._base.with_name(f"differs-{len(self._tally.series)}"))
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._pristine_of(folder), folder)

    def _killed(self, series: Series, times: int, cluster: Cluster | None) -> Run | None:
        """Run a step and kill it, several times; return a run that finished anyway, if one did."""
        for _ in range(times):
            run = self._undisturbed.start(series.step)
            before = self._begun(series.step)
            if not self._awaits_moment(run, series.step):
                return run
            family = run.family()
            victim, process = self._victim(family, cluster)
            hit = cluster.processes()["worker"] if cluster and victim == "scheduler" else [process]
            had = self._killed_with(process, hit)
            code = run.wait()
            alive = _end(family)
            goes_on = victim in ("worker", "scheduler")
            redone = had if goes_on else self._begun(series.step) - before
            in_hand = len(hit) if goes_on else (WORKERS if cluster else self._at_hand[series.step])
            parts = 0 if series.stream else len(self._pieces(series.step, redone))
            series.kills.append(Kill(victim, parts, in_hand, alive))
            if code == 0:
                return run
        return None

    def _awaits_moment(self, run: Run, step: str) -> bool:
        """Wait for a random number of files and a moment more; return whether the run goes on."""
        folder = self._folder(step)
        there = len(_files(folder))
        at = self._random.randint(there, max(there, len(_files(self._pristine_of(folder)))) + 2)
        longest = 2.0 if at == there else 0.05
        while len(_files(folder)) < at and not run.is_over:
            time.sleep(0.002)
        time.sleep(self._random.uniform(0, longest))
        return not run.is_over

    def _victim(
        self, family: list[psutil.Process], cluster: Cluster | None
    ) -> tuple[str, psutil.Process]:
        """Choose the runner, the step, or one of the processes that compute partitions."""
        kinds = {"runner": family[:1], "step": family[1:2]}
        kinds |= cluster.processes() if cluster else {"worker": family[2:]}
        kind = self._random.choice([name for name, processes in kinds.items() if processes])
        return kind, self._random.choice(kinds[kind])

    def _folder(self, step: str) -> Path:
        return Path(self._undisturbed.folder(step).location)

    def _pristine_of(self, folder: Path) -> Path:
        return self._pristine / folder.relative_to(self._base)

    def _begun(self, step: str) -> set[str]:
        """Return the files without a checkpoint."""
        folder = self._folder(step)
        done = {path.stem for path in folder.glob("checkpoints/*.json")}
        files = {path.name for place in ("data", "staged") for path in folder.glob(f"{place}/*")}
        return {name for name in files if not self._pieces(step, [name]) & done}

    def _pieces(self, step: str, files: Iterable[str]) -> set[str]:
        """Return the checkpoints that files belong to; some pieces of work have several files."""
        folder = self._pristine_of(self._folder(step))
        known = {path.stem for path in folder.glob("checkpoints/*.json")}
        stems = {name.lstrip(".").split(".")[0] for name in files}
        return {stem if stem in known else stem.rpartition("-")[0] for stem in stems}

    def _killed_with(self, victim: psutil.Process, hit: Sequence[psutil.Process]) -> set[str]:
        """Kill a process; return the partition files that those it takes down were writing."""
        found: set[str] = set()
        with suppress(psutil.NoSuchProcess):
            for process in hit:
                process.suspend()  # so that what is seen is what is lost
            for process in hit:
                paths = [Path(file.path) for file in process.open_files()]
                found |= {path.name for path in paths if path.parent.name in ("data", "staged")}
            victim.kill()
        for process in hit:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        return found


def partitions_at_hand(planned: PlannedStep) -> int:
    """Return how many partitions a step computes at a time here; 0 if it is a single stream."""
    assert planned.spec.source is not None
    kind = component_class(planned.spec.source)
    if not issubclass(kind, StreamTransformComponent):
        return 0
    return kind.partitions_at_once if kind.uses_device else WORKERS


def _end(family: list[psutil.Process]) -> int:
    """Kill the processes that outlived their run; return their number."""
    _, alive = psutil.wait_procs(family, timeout=LEFT_OVER_AFTER)
    for process in alive:
        process.kill()
    return len(alive)


def _files(folder: Path) -> list[Path]:
    return [path for place in WRITTEN for path in folder.glob(f"{place}/*")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="on the local runner")
    parser.add_argument("--dask", type=int, default=0, help="kills on a Dask cluster")
    parser.add_argument("--twice", type=int, default=0, help="times to start two runs at once")
    parser.add_argument("--full-disk", type=int, default=0, help="disks to fill; takes root")
    parser.add_argument("--store", type=int, default=0, help="runs on a store that fails")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--into", type=Path, help="a folder to keep all in, and to go on from")
    parser.add_argument("--world", type=Path, help="where the small web is, or is to be made")
    parser.add_argument("--port", type=int, default=8647, help="of the small web, on 127.0.0.1")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = options.into or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        tally = Tally(folder / "tally.jsonl")
        with suppress(KeyboardInterrupt):  # the results so far are reported
            _run_all(options, folder.absolute(), tally)
    print(tally.describe())
    found = tally.to_dict()
    print(json.dumps(found) if options.json else found)
    return 0 if found["identical"] else 1


def _run_all(options: argparse.Namespace, folder: Path, tally: Tally) -> None:
    world = World(options.world or folder / "world", options.port)
    world.make()
    with serving(world.root, world.port):
        if options.store:
            disturb_store(world.pipeline, folder, tally, options.store, options.seed)
        if not any((options.kills, options.dask, options.twice, options.full_disk)):
            return
        campaign = Campaign(world.pipeline(str(folder / "base")), tally, seed=options.seed)
        campaign.kill_often("local", options.kills)
        if options.dask:
            with Cluster() as cluster:
                campaign.kill_often("dask", options.dask, cluster)
        campaign.start_twice(options.twice)
        campaign.fill_disk(options.full_disk)


if __name__ == "__main__":
    sys.exit(main())
