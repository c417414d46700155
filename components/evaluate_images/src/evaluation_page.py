"""The report as a self-contained HTML file, with inline charts and thumbnails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from brief_numbers import brief, counted, likelihood
from charts import HEIGHT, WIDTH, loss_chart, strip_of
from evaluation_report import Report
from figure_rows import figure_rows
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from shown_samples import Grid, Sample
from verdict import kind_of

from image_toolkit.page_values import number, visible

_TEMPLATES: Final = Path(__file__).parent / "templates"
_CLUSTERS: Final = 8


@dataclass(frozen=True)
class Shown:
    """The pictures of a page; `picture` returns the address of an image, or of a crop, by name."""

    samples: Sequence[Sample]
    grids: Sequence[Grid]
    picture: Callable[[str], str | None]


def page_of(report: Report, shown: Shown) -> str:
    """Render the report as HTML."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"brief": brief, "number": number, "p": likelihood, "visible": visible}
    environment.globals |= {"picture": shown.picture, "kind_of": kind_of, "strip_of": strip_of}
    environment.globals |= {"counted": counted}
    clusters = report.figures.clusters
    moved = [one for one in clusters.clusters if one.moved]
    styles = (_TEMPLATES / "evaluation.css").read_text("utf-8")
    return environment.get_template(
        "evaluation.html"
    ).render(
        report=report,
        styles=Markup(styles),  # noqa: S704 - a file of this component
        shown=shown,
        rows=figure_rows(report),
        loss=None if report.training is None else loss_chart(report.training),
        loss_size=(WIDTH, HEIGHT),
        moved=moved,
        clusters_shown=(moved or clusters.clusters)[:_CLUSTERS],
    )
