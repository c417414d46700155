"""`fondant-spec index build`: an index of vectors, or of a folder of images."""

import argparse
from pathlib import Path
from typing import Final

from fondant_spec.dataset.disk_space import full_disk_told
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.shown_text import log_to_stderr, tell
from image_toolkit.retrieval.build.build_estimate import BuildEstimate
from image_toolkit.retrieval.build.build_index import BuildOptions, build_index
from image_toolkit.retrieval.build.staging import left_out_rows
from image_toolkit.retrieval.build.vector_source import VectorSource
from image_toolkit.retrieval.build.vector_sources import open_source
from image_toolkit.retrieval.hub.index_reference import on_hub

_NAMED: Final = 10


def build(args: argparse.Namespace) -> int:
    """Build an index, reporting its cost beforehand and the result afterwards."""
    log_to_stderr()  # reports what a stopped build left, and the progress
    options = BuildOptions(
        kind=args.kind,
        memory_gb=args.memory_gb,
        target_recall=args.target_recall,
        name=args.name,
        model_id=args.model_id,
        revision=args.revision,
        keep_vectors=args.keep_vectors,
        lists_on_disk=args.lists_on_disk,
    )
    source = _source(args)
    if args.part is not None:
        source = source.part(*args.part)
    kind = options.kind_of(len(source), source.dimension)
    for line in BuildEstimate(kind, options.memory_bytes).lines():
        tell(line)
    with full_disk_told(str(args.output)):
        built = build_index(source, args.output, options)
    left_out = f", {built.left_out} without a usable vector left out" if built.left_out else ""
    tell(f"{args.output}: {built.kind.name}, {built.rows} rows{left_out}, {built.seconds:.1f} s")
    if built.left_out:
        _tell_left_out(args.output, built.left_out)
    for measured in built.measurements:
        tell(
            f"  {measured.options or 'exact':14} recall@10 {measured.recall:.4f}"
            f"  {measured.rate:8.0f} queries/s"
        )
    if not built.measurements:
        tell("  too few rows to hold some out and measure recall")
    return 0


def _tell_left_out(folder: Path, count: int) -> None:
    for name in left_out_rows(folder, _NAMED):
        tell(f"  left out: {name}")
    more = f"{count - _NAMED} more; " if count > _NAMED else ""
    tell(f"  {more}the rows left out are listed in {folder / 'left_out'}")


def _source(args: argparse.Namespace) -> VectorSource:
    place = _source_folder(args)
    if place.is_dir() and not _has_vectors(place):
        if args.model_id is None:
            msg = f"{place} holds no vectors; to embed its images, name a --model-id."
            raise InvalidArgumentError(msg)
        from image_toolkit.retrieval.build.image_source import ImageFolderSource  # noqa: PLC0415

        return ImageFolderSource(place, args.model_id, args.revision, args.url_prefix).open()
    return open_source(place, metadata=args.metadata, vectors=args.vectors, modality=args.modality)


def _source_folder(args: argparse.Namespace) -> Path:
    """Return the folder of the vectors or images, downloaded if they are on the hub."""
    if not on_hub(args.source):
        return Path(args.source)
    from image_toolkit.retrieval.hub.find_index import fetch_embeddings  # noqa: PLC0415

    folder, _ = fetch_embeddings(args.source, args.modality)
    return folder


def _has_vectors(folder: Path) -> bool:
    patterns = ("*.parquet", "*.npy", "*.npz", "manifest.json", "*_emb/*.npy")
    return any(next(folder.glob(pattern), None) for pattern in patterns)
