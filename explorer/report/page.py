"""A report as one self-contained HTML file: inline SVG charts and embedded thumbnails."""

from typing import Final

from markupsafe import Markup

from explorer.pictures import Pictures
from explorer.report.findings import findings_of
from explorer.report.report import Report
from explorer.report.sizes import Sizes
from explorer.templating import HERE, environment
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import FondantError
from image_toolkit.images.image_errors import NotAnImageError
from image_toolkit.images.small_pictures import data_address

_SIDE: Final = 112
_STYLES: Final = ("explorer.css", "report.css")
_POINTS: Final = 32


class SmallPictures:
    """Thumbnails as `data:` addresses; None for one that is not available."""

    def __init__(self) -> None:
        self._pictures = Pictures(_SIDE)
        self._manifests: dict[str, Manifest] = {}

    def address(self, dataset: str, row: str) -> str | None:
        """Return a row's thumbnail as a `data:` address."""
        try:
            if dataset not in self._manifests:
                self._manifests[dataset] = Manifest.read(dataset)
            data = self._pictures.thumbnail(self._manifests[dataset], row)
        except (FondantError, NotAnImageError):
            return None
        return data_address(data)


def page_of(report: Report) -> str:
    """Return a report as HTML."""
    styles = "\n".join((HERE / "static" / name).read_text("utf-8") for name in _STYLES)
    template = environment(picture=SmallPictures().address).get_template("report.html")
    return template.render(
        report=report,
        styles=Markup(styles),  # noqa: S704 - files of this package
        findings=findings_of(report),
        curves=_curves(report.sizes),
    )


def _curves(sizes: Sizes | None) -> dict[int, str]:
    """Return the curves of equal area on the size map, by the side of the square with that area."""
    if sizes is None:
        return {}
    squares = [one.enlarging.resolution for one in sizes.arrangements]
    return {square: _curve(square, sizes.map.end) for square in squares}


def _curve(square: int, end: int) -> str:
    """Return the SVG points at which width times height equals the area of a square."""
    first = square * square / end
    widths = [first * (end / first) ** (step / _POINTS) for step in range(_POINTS + 1)]
    return " ".join(f"{width:.0f},{end - square * square / width:.0f}" for width in widths)
