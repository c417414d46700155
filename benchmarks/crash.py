"""What survives a kill: SIGKILL at random moments, each followed by a rerun that must end the same.

    python benchmarks/crash.py --kills 200 --dask 50 --twice 50 --full-disk 10

One step at a time is run by the local runner over the results of an undisturbed run. At a random
moment the runner, the step or one of its worker processes is killed; then the step is run again,
perhaps to be killed once more. What it has made in the end is held against the undisturbed run:
rows lost or doubled, files that are not what their manifest says, bytes that differ (of downloads,
all but the time of the download). Work that was begun and is done again is counted in partitions,
and so is every process that outlives its runner. With --dask the partitions run on a Dask cluster
of two worker processes, which are killed, too; --twice starts two runs at the same moment;
--full-disk fills a small disk under a step, which takes root.

With --json, runs 50 kills unless told otherwise, and ends with one line of JSON.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, it finds its siblings too

from benchmarks.crash_faults import KEPT, Cluster, Run, small_disk
from benchmarks.crash_world import Content, World
from demo.host import serving
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.pipeline.graph import Pipeline, new_run_id
from fondant_spec.pipeline.plan import PlannedStep
from fondant_spec.runners.local import LocalRunner

MOST_IN_A_ROW = 6
LEFT_OVER_AFTER = 60.0
SLOW = ("image_embedding", "caption_images")
"""Steps that load a model first: they are taken less often."""
WRITTEN = ("data", "staged", "rejects", "checkpoints", "output")


@dataclass
class Tally:
    """What was done, and what was found."""

    kills: int = 0
    lost: int = 0
    duplicated: int = 0
    corrupt: int = 0
    identical: int = 1
    redone_partitions: int = 0
    left_over: int = 0
    double_starts: int = 0
    full_disks: int = 0
    by_step: Counter[str] = field(default_factory=Counter)
    most_redone: int = 0

    def compare(self, found: Content, expected: Content, where: str) -> None:
        """Hold what a step made against what it makes undisturbed."""
        here, there = set(found.ids), set(expected.ids)
        self.lost += len(there - here)
        self.duplicated += len(found.ids) - len(here) + len(here - there)
        self.corrupt += len(found.problems)
        if found != expected:
            self.identical = 0
            names = sorted(dict(found.digests.items() ^ expected.digests.items()))
            print(f"{where}: {found.problems or names or 'other rows'}", flush=True)


class Campaign:
    """Runs, kills and compares steps of one pipeline, whose base path is its own."""

    def __init__(self, pipeline: Pipeline, base: Path, *, seed: int = 0) -> None:
        self.tally = Tally()
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._log = base.with_name(f"{base.name}.log")
        self._plan = pipeline.plan()
        made = LocalRunner().run(self._plan, lambda _: None)
        self._locations = {result.step_id: result.manifest.location for result in made}
        self._expected = {result.step_id: Content.of(result.manifest) for result in made}
        self._pristine = base.with_name(f"{base.name}.pristine")
        shutil.copytree(base, self._pristine)
        self._base = base
        self._spread = {
            planned.id
            for planned in self._plan.steps
            if planned.step.after and not _is_stream(planned)
        }
        """The steps that keep what they have finished, by partitions; the others are one stream."""

    def kill_often(self, kills: int, cluster: Cluster | None = None) -> None:
        """Kill so many times, each time to run again."""
        wanted = self.tally.kills + kills
        while self.tally.kills < wanted:
            with self._anew(spreads=cluster is not None) as step:
                in_a_row = self._random.randint(1, MOST_IN_A_ROW)
                for _ in range(min(in_a_row, wanted - self.tally.kills)):
                    self._run_and_kill(step, cluster)
                self.run_to_the_end(step)
            self._tell(f"{self.tally.kills} of {wanted} kills")

    def start_twice(self, times: int) -> None:
        """Start two runs at the same moment, so many times; both must succeed."""
        for _ in range(times):
            with self._anew() as step:
                self.run_to_the_end(step, runs=2)
            self.tally.double_starts += 1
            self._tell(f"{self.tally.double_starts} of {times} double starts")

    def fill_disk(self, times: int) -> None:
        """Run a step on a disk that is too small, and again when there is room, so many times.

        The first run must end with a sentence, and not with a traceback.
        """
        for _ in range(times):
            with self._anew() as step:
                folder = Path(self._locations[step]).parent
                files = (file for file in self._pristine_of(folder).rglob("*") if file.is_file())
                needed = sum(file.stat().st_size for file in files)
                with small_disk(folder, self._random.randint(needed // 8, needed)) as grow:
                    self.start(step).wait()
                    said = self._log.read_text(encoding="utf-8")
                    self.tally.full_disks += KEPT in said
                    if f"[{step}] Traceback" in said:
                        self.tally.identical = 0
                        print(f"{step}: {said}", flush=True)
                    grow()
                    self.run_to_the_end(step)

    def _tell(self, done: str) -> None:
        found = "identical" if self.tally.identical else "NOT identical"
        print(f"{done}: {found}, {self.tally.left_over} left over", file=sys.stderr, flush=True)

    def run_to_the_end(self, step: str, runs: int = 1) -> None:
        """Run a step, and hold what it has made against what it makes undisturbed."""
        started = [self.start(step) for _ in range(runs)]
        codes = [run.wait() for run in started]
        if codes == [0] * runs:
            made = Content.of(Manifest.read(self._locations[step]))
            self.tally.compare(made, self._expected[step], step)
            return
        self.tally.identical = 0
        end = self._log.read_text(encoding="utf-8")[-2000:]
        print(f"{step}: ended with {codes}: ...{end}", flush=True)

    def start(self, step: str) -> Run:
        """Start a run of a step, over the results of those before it."""
        names = [planned.id for planned in self._plan.steps]
        steps = self._plan.steps[: names.index(step) + 1]
        return Run(replace(self._plan, steps=steps, run_id=new_run_id()), self._log)

    @contextmanager
    def _anew(self, *, spreads: bool = False) -> Iterator[str]:
        """Yield a step whose result is gone, and put everything back as it was afterwards."""
        steps = [name for name in self._locations if not spreads or name in self._spread]
        weights = [1 if name in SLOW else 3 for name in steps]
        (step,) = self._random.choices(steps, weights)
        folder = Path(self._locations[step]).parent
        shutil.rmtree(folder)
        self._log.write_text("")
        yield step
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._pristine / folder.relative_to(self._base), folder)

    def _run_and_kill(self, step: str, cluster: Cluster | None) -> None:
        run = self.start(step)
        folder = Path(self._locations[step]).parent
        if not self._awaits_moment(run, folder):
            run.wait()
            return
        family = run.family()
        kind, victim = self._victim(family, cluster)
        with suppress(psutil.NoSuchProcess):
            victim.kill()
        self.tally.kills += 1
        self.tally.by_step[f"{kind} of {step}"] += 1
        if cluster:
            cluster.workers()
        run.wait()
        _, alive = psutil.wait_procs(family, timeout=LEFT_OVER_AFTER)
        self.tally.left_over += len(alive)
        for process in alive:
            process.kill()
        if kind in ("runner", "step"):
            begun = len(_begun(folder)) if step in self._spread else 0
            self.tally.redone_partitions += begun
            self.tally.most_redone = max(self.tally.most_redone, begun)

    def _awaits_moment(self, run: Run, folder: Path) -> bool:
        """Wait for a random number of files, and a moment more; return whether the run still is."""
        there = len(_files(folder))
        at = self._random.randint(there, max(there, len(_files(self._pristine_of(folder)))) + 2)
        longest = 2.0 if at == there else 0.05
        while len(_files(folder)) < at and not run.is_over:
            time.sleep(0.001)
        time.sleep(self._random.uniform(0, longest))
        return not run.is_over

    def _pristine_of(self, folder: Path) -> Path:
        return self._pristine / folder.relative_to(self._base)

    def _victim(
        self, family: list[psutil.Process], cluster: Cluster | None
    ) -> tuple[str, psutil.Process]:
        """Choose the runner, the step, or one of the processes that compute partitions."""
        workers = cluster.workers() if cluster else family[2:]
        kinds = {"runner": family[:1], "step": family[1:2], "worker": workers}
        kind = self._random.choice([name for name, processes in kinds.items() if processes])
        return kind, self._random.choice(kinds[kind])


def _is_stream(planned: PlannedStep) -> bool:
    """Return whether a finished step has written all rows of the dataset as one stream."""
    return Path(planned.location).with_name("checkpoints").joinpath("written.json").exists()


def _files(folder: Path) -> list[Path]:
    return [path for place in WRITTEN for path in folder.glob(f"{place}/*")]


def _begun(folder: Path) -> set[str]:
    """Return the partitions of which there is something, but no checkpoint."""
    done = {path.stem for path in folder.glob("checkpoints/*.json")}
    begun = {
        path.name.lstrip(".").split(".")[0]
        for place in ("data", "staged")
        for path in folder.glob(f"{place}/*")
    }
    return begun - done


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="on the local runner")
    parser.add_argument("--dask", type=int, default=0, help="kills on a Dask cluster")
    parser.add_argument("--twice", type=int, default=0, help="times to start two runs at once")
    parser.add_argument("--full-disk", type=int, default=0, help="disks to fill; takes root")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--world", type=Path, help="where the small web is, or is to be made")
    parser.add_argument("--port", type=int, default=8647, help="of the small web, on 127.0.0.1")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        world = World(options.world or Path(folder, "world"), options.port)
        world.make()
        with serving(world.root, world.port):
            base = Path(folder, "base")
            campaign = Campaign(world.pipeline(base), base, seed=options.seed)
            with suppress(KeyboardInterrupt):  # what was seen so far is told
                campaign.kill_often(options.kills)
                if options.dask:
                    with Cluster() as cluster:
                        campaign.kill_often(options.dask, cluster)
                campaign.start_twice(options.twice)
                campaign.fill_disk(options.full_disk)
    for where, count in sorted(campaign.tally.by_step.items()):
        print(f"{count:4} {where}")
    tally = asdict(campaign.tally)
    del tally["by_step"]
    print(f"double starts: {tally.pop('double_starts')}")
    print(f"disks that were full before the step was through: {tally.pop('full_disks')}")
    print(f"most partitions begun and done again after a kill: {tally.pop('most_redone')}")
    print(json.dumps(tally) if options.json else tally)
    return 0 if tally["identical"] else 1


if __name__ == "__main__":
    sys.exit(main())
