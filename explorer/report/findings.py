"""What a person should look at before training."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from explorer.report.report import Report
from explorer.report.sizes import Arrangement

_BOUND: Final = 0.8
"""A phrase in at least this share of the captions is learned along with the subject."""

_ONE_HOST: Final = 0.5
_REPEATED: Final = 0.2


@dataclass(frozen=True)
class Finding:
    """A sentence, and the section with the details."""

    section: str
    text: str


def findings_of(report: Report) -> list[Finding]:
    """Return what stands out, in the order of the sections."""
    found = [
        *(Finding("steps", problem) for problem in report.problems),
        *(Finding("sizes", text) for text in _of_sizes(report)),
        *(Finding("captions", text) for text in _of_captions(report)),
        *(Finding("origins", text) for text in _of_origins(report)),
        *(Finding("drift", text) for text in _of_drift(report)),
    ]
    return found if report.rows else [Finding("steps", "The dataset has no rows.")]


def _of_sizes(report: Report) -> Iterator[str]:
    if report.sizes is None:
        return
    if report.sizes.missing:
        yield f"{_images(report.sizes.missing)} without a size."
    for arrangement in report.sizes.arrangements:
        yield from _of_buckets(arrangement, report.batch)


def _of_buckets(arrangement: Arrangement, batch: int) -> Iterator[str]:
    buckets = arrangement.enlarging
    at = f"At {buckets.resolution} pixels ({', '.join(arrangement.models)})"
    if short := buckets.short(batch):
        yield (
            f"{at} {len(short):,} of {len(buckets.images):,} buckets have fewer images than a "
            f"batch of {batch}: {_images(sum(short.values()))} in all."
        )
    total = sum(buckets.images.values())
    if buckets.enlarged:
        yield (
            f"{at} {buckets.enlarged:,} of {_images(total)} are smaller than their bucket and "
            "would be enlarged."
        )


def _of_captions(report: Report) -> Iterator[str]:
    captions = report.captions
    if captions is None:
        return
    if captions.missing:
        yield f"{captions.missing:,} of {report.rows:,} rows have no caption."
    for use in captions.tokens:
        first, *_, last = (*use.within, *use.within)
        if longer := captions.captions - use.within[first] - use.over:
            yield (
                f"{longer:,} of {captions.captions:,} captions are longer than {first} tokens of "
                f"{use.encoder}: trainers limited to one chunk truncate them."
            )
        if use.over:
            yield (
                f"{use.over:,} of {captions.captions:,} captions are longer than the {last} tokens "
                f"that {use.encoder} reads; the rest is ignored."
            )
    if captions.repeated > _REPEATED * captions.captions:
        yield (f"{captions.repeated:,} of {captions.captions:,} captions repeat another one.")
    for phrase in captions.phrases:
        if phrase.share >= _BOUND:
            yield (
                f"“{phrase.words}” is in {phrase.share:.0%} of the captions: whatever these images "
                "have in common is learned with those words."
            )


def _of_origins(report: Report) -> Iterator[str]:
    hosts, licences = report.hosts, report.licences
    if hosts is not None and hosts.rows:
        host, share = hosts.first
        if share > _ONE_HOST:
            part = f"{share:.0%}" if hosts.kinds > 1 else "All"
            yield f"{part} of the images come from one host, {host}: its style is learned."
    if licences is not None:
        unknown = licences.missing + licences.most.get("unknown", 0)
        if unknown:
            yield f"{_images(unknown)} without a known licence."


def _of_drift(report: Report) -> Iterator[str]:
    for one in report.drift.comparisons if report.drift else ():
        if one.drift.is_more_than_chance:
            figures = f"{one.drift.distance:.3g}, by chance {one.drift.by_chance:.3g}"
            yield (
                f"The images after {one.other} differ from those after {one.one} by more than "
                f"two samples of one set do: {figures}."
            )


def _images(count: int) -> str:
    return f"{count:,} {'image' if count == 1 else 'images'}"
