"""The contents of a report on a dataset."""

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
    """A report on a dataset. Sections without a field in the dataset are None.

    Attributes:
        dataset: The location of its manifest.
        pipeline: The name of its pipeline.
        step: The step that made it.
        run: The run that made it.
        rows: The number of its rows.
        batch: The batch size below which a bucket is too small.
        problems: Which partitions and earlier datasets could not be read, and why.
        steps: Rows kept and lost, step by step.
        sizes: The images' sizes.
        scores: The numeric fields.
        captions: The captions, and their token counts.
        tags: The most frequent tags.
        hosts: The hosts that the images come from.
        licences: The images' licences.
        groups: Groups of similar images.
        drift: The distance between seeds, retrieved images and the final dataset.
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
    """Return the report on a dataset.

    Image bytes are not read, and other wide fields one partition at a time; narrow fields are held
    in memory, compressed.

    Raises:
        FondantError: a file of the dataset is missing or broken.
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
