"""Runs one component over its partitions, and commits what came of it.

This is the door by which every runner enters a component: `python main.py --name word ...`, with
the arguments of the spec and those of `Options`.
"""

import inspect
import logging
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fondant_spec.cpu import cpu_count
from fondant_spec.dataset import run_references as references
from fondant_spec.dataset import storage
from fondant_spec.dataset.cache_key import cache_key, committed_manifest, key_parts
from fondant_spec.dataset.checkpoint import Record
from fondant_spec.dataset.field_mapping import Binding, bind
from fondant_spec.dataset.manifest import MANIFEST_FILE, Input, Manifest, group, merge
from fondant_spec.errors import FondantError, InvalidArgumentError, InvalidComponentSpecError
from fondant_spec.progress import Progress
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.executor_options import Options, parse, spec_file
from fondant_spec.worker.base_components import (
    Component,
    LoadComponent,
    StreamTransformComponent,
    WriteComponent,
)
from fondant_spec.worker.commit import commit
from fondant_spec.worker.dask_scheduling import run_partitions
from fondant_spec.worker.input_rows import Source
from fondant_spec.worker.partition_tasks import Turn, loaded, sort_out, turns_of
from fondant_spec.worker.run_partition import gather, load_partitions, write_partitions
from fondant_spec.worker.step_context import Work

logger = logging.getLogger(__name__)

EXIT_ERROR: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130


def execute(component_class: type[Component], argv: Sequence[str] | None = None) -> None:
    """Run a component as a program: read the argument vector, run, set the exit code.

    Exit codes: 0 done or already there; 1 an error that the user can fix; 2 wrong usage; 130
    interrupted. Any other error is a defect and shows its traceback.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        run(component_class, sys.argv[1:] if argv is None else argv)
    except InvalidArgumentError as error:
        _fail(error, EXIT_USAGE)
    except FondantError as error:
        _fail(error, EXIT_ERROR)
    except KeyboardInterrupt:
        _fail("interrupted; finished partitions are kept, run again to go on", EXIT_INTERRUPTED)


def run(component_class: type[Component], argv: Sequence[str]) -> Manifest | None:
    """Run a component and return the manifest it committed; None for a slice."""
    main = Path(inspect.getfile(component_class)).resolve()
    spec = ComponentSpec.from_file(main.parents[1] / spec_file(argv))
    options, values = parse(spec, argv)
    options = replace(options, base_path=storage.normalize(options.base_path))
    if _gathers(component_class) and spec.cardinality != "explodes":
        msg = f"{options.step_id}: a component that gathers makes new rows; its spec must explode."
        raise InvalidComponentSpecError(msg)
    storage.check_writable(options.base_path)
    inputs = [Manifest.read(location) for location in options.inputs]
    if not spec.loads and not inputs:
        msg = f"{options.step_id}: the component consumes fields; name --input_manifest_path."
        raise InvalidArgumentError(msg)
    start = _start(spec, options, values, inputs)
    references.note(
        options.base_path, options.pipeline_name, options.run_id, options.step_id, start.cache_key
    )
    takes_committed = options.cache and not options.retry
    committed = committed_manifest(start.location, inputs) if takes_committed else None
    if committed is not None:
        logger.info(
            "%s: already done, %d rows at %s", options.step_id, committed.rows, start.folder
        )
        return _tell(committed, options)
    # What stands there was made from other inputs, or is not wanted: it must not pass for a commit
    # of the files that are about to be written.
    storage.remove(start.location)
    groups = group(inputs, together=spec.cardinality != "explodes")
    bindings = [_bind(spec, options, one) for one in groups] or [_bind(spec, options, [])]
    work = Work(
        main=str(main),
        class_name=component_class.__name__,
        spec=spec,
        arguments=values,
        binding=bindings[0],
        folder=start.folder,
        where=options.step_id,
        salt=_salt(options),
        sources=_sources(groups, bindings),
        rows_per_partition=options.rows_per_partition,
        retry=options.retry,
    )
    began = time.monotonic()
    records = _run_stages(work, component_class, options, groups)
    if options.slice is not None:
        _leave(start.folder, options)
        return None
    seconds = round(time.monotonic() - began, 3)
    manifest = commit(
        replace(start, seconds=seconds), work, records, inputs, options.max_reject_share
    )
    logger.info("%s: %d rows at %s", options.step_id, manifest.rows, manifest.folder)
    return _tell(manifest, options)


def _start(
    spec: ComponentSpec,
    options: Options,
    values: dict[str, Any],
    inputs: list[Manifest],
) -> Manifest:
    """Return the manifest as far as it is known before anything has run."""
    mappings = {"consumes": options.consumes, "produces": options.produces}
    parts = key_parts(spec, values, mappings, [m.cache_key for m in inputs])
    key = cache_key(parts)
    makes_ids = spec.cardinality == "explodes" or not inputs
    folder = storage.join(options.base_path, options.pipeline_name, options.step_id, key)
    return Manifest(
        pipeline_name=options.pipeline_name,
        step_id=options.step_id,
        run_id=options.run_id,
        cache_key=key,
        location=storage.join(folder, MANIFEST_FILE),
        index_location=storage.join(folder, "data"),
        fields={},
        inputs=tuple(Input(m.location, m.digest) for m in inputs),
        root=storage.join(folder, MANIFEST_FILE) if makes_ids else inputs[0].root,
        component={"name": spec.name, "image": spec.image, "code": parts["code"]},
        key_parts=parts,
    )


def _bind(spec: ComponentSpec, options: Options, inputs: list[Manifest]) -> Binding:
    available = merge(inputs, options.step_id).fields if inputs else {}
    return bind(spec, available, options.consumes, options.produces, options.step_id)


def _sources(groups: list[list[Manifest]], bindings: list[Binding]) -> tuple[Source, ...]:
    return tuple(
        Source(
            inputs=binding.inputs,
            index_location=one[0].index_location,
            branches=tuple(manifest.index_location for manifest in one[1:]),
            prefix=f"{number}-" if len(groups) > 1 else "",
        )
        for number, (one, binding) in enumerate(zip(groups, bindings, strict=False))
    )


def _run_stages(
    work: Work,
    component_class: type[Component],
    options: Options,
    groups: list[list[Manifest]],
) -> list[Record]:
    total = sum(one[0].rows for one in groups) if groups else None
    turns = turns_of(groups)
    with Progress(options.step_id, total) as progress:
        if issubclass(component_class, LoadComponent | WriteComponent):
            if options.slice is not None:
                logger.info("%s: runs whole when it is committed", work.where)
                return []
            return _run_at_once(work, [turn.partition.name for turn in turns], progress)
        records = _transform(work, component_class, options, turns, progress)
    if options.slice is None and _gathers(component_class):
        return _gathered(work, records)
    return records


def _run_at_once(work: Work, partitions: list[str], progress: Progress) -> list[Record]:
    """Run a load or a write, which take the whole dataset as one stream."""
    with work.component() as component:
        if isinstance(component, LoadComponent):
            return load_partitions(work, component, loaded(work), progress.advance)
        if isinstance(component, WriteComponent):
            return [write_partitions(work, component, partitions, progress.advance)]
        msg = f"{work.class_name} is neither a load nor a write."
        raise TypeError(msg)


def _transform(
    work: Work,
    component_class: type[Component],
    options: Options,
    turns: list[Turn],
    progress: Progress,
) -> list[Record]:
    if options.slice is not None:
        index, count = options.slice
        turns = turns[index::count]
    kept, left = sort_out(work, turns)
    for record in kept:
        progress.advance(record.rows_in, sum(record.rejects.values()))
    if kept and left:
        logger.info("%s: %d of %d partitions are kept", work.where, len(kept), len(turns))
    workers = options.workers or (1 if component_class.uses_device else cpu_count())
    new = run_partitions(work, left, workers, progress)
    place = {turn.name: number for number, turn in enumerate(turns)}
    return sorted([*kept, *new], key=lambda record: place[record.name])


def _gathers(component_class: type[Component]) -> bool:
    return issubclass(component_class, StreamTransformComponent) and component_class.gathers


def _gathered(work: Work, records: list[Record]) -> list[Record]:
    with work.component() as component:
        if not isinstance(component, StreamTransformComponent):
            msg = f"{work.class_name} does not gather."
            raise TypeError(msg)
        return [*records, gather(work, component, records)]


def _salt(options: Options) -> str:
    """Return what finished partitions must share, beside their input, to count in this run.

    As many rows a partition; without the cache also the run, whose slices work for one another.
    """
    return f"{options.rows_per_partition}" + ("" if options.cache else f"-{options.run_id}")


def _tell(manifest: Manifest, options: Options) -> Manifest:
    _leave(manifest.location, options)
    return manifest


def _leave(location: str, options: Options) -> None:
    """Write a location where the runner looks for it: of the manifest, or of a slice's folder."""
    if options.output_manifest_path:
        path = Path(options.output_manifest_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(location, encoding="utf-8")


def _terminate(_signum: int, _frame: object) -> None:
    """Treat a request to end like Ctrl-C, so that workers are stopped and locks released."""
    raise KeyboardInterrupt


def _fail(error: object, code: int) -> None:
    print(f"error: {error}", file=sys.stderr)  # noqa: T201 - this is the edge of the program
    sys.exit(code)
