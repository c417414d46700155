"""All that a report tells of a dataset."""

from dataclasses import dataclass

from explorer.report.captions import Captions, captions_of
from explorer.report.counts import Counts, hosts_of, licences_of, tags_of
from explorer.report.drift import Drifts, drifts_of
from explorer.report.groups import Groups, groups_of
from explorer.report.scores import Score, scores_of
from explorer.report.sizes import Sizes, sizes_of
from explorer.report.step_rows import StepRows, step_rows
from explorer.tables import Tables
from fondant_spec.dataset.history import history_of
from fondant_spec.dataset.manifest import Manifest


@dataclass(frozen=True)
class Report:
    """What a dataset is like. What it has no field for is None.

    Attributes:
        dataset: Where its manifest lies.
        pipeline: The name of the pipeline that made it.
        step: The step that did.
        run: In which run.
        rows: How many it has.
        batch: Images of a batch, below which a bucket is too small.
        problems: Which partitions and earlier datasets could not be read, and why.
        steps: What became of the rows, step by step.
        sizes: Of the images.
        scores: The fields of numbers.
        captions: Texts, and their tokens.
        tags: The most frequent ones.
        hosts: Where the images are from.
        licences: What they are under.
        groups: Images that are alike.
        drift: How far seeds, finds and what was kept are apart.
    """

    dataset: str
    pipeline: str
    step: str
    run: str
    rows: int
    batch: int
    problems: tuple[str, ...]
    steps: tuple[StepRows, ...]
    sizes: Sizes | None
    scores: tuple[Score, ...]
    captions: Captions | None
    tags: Counts | None
    hosts: Counts | None
    licences: Counts | None
    groups: Groups | None
    drift: Drifts | None


def report_of(manifest: Manifest, batch: int) -> Report:
    """Return the report of a dataset.

    No image is read, and of other fields no more than one partition at a time; what is narrow lies
    in memory, compressed.

    Raises:
        FondantError: a file of it is missing or broken.
    """
    tables = Tables()
    table = tables.open(manifest)
    history = history_of(manifest)
    return Report(
        dataset=manifest.location,
        pipeline=manifest.pipeline_name,
        step=manifest.step_id,
        run=manifest.run_id,
        rows=manifest.rows,
        batch=batch,
        problems=(*table.problems, *map(str, history.missing.values())),
        steps=tuple(map(step_rows, history.steps)),
        sizes=sizes_of(tables, table),
        scores=tuple(scores_of(tables, table)),
        captions=captions_of(tables, table),
        tags=tags_of(tables, table),
        hosts=hosts_of(tables, table),
        licences=licences_of(tables, table),
        groups=groups_of(tables, table, history),
        drift=drifts_of(history),
    )
