"""Images: the only bytes of a dataset that a browser receives."""

import io
from collections.abc import Callable
from typing import Final

from PIL import Image, ImageDraw
from starlette.requests import Request
from starlette.responses import Response

from explorer.guard import IMAGE_POLICY
from explorer.site import Site
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.errors import FondantError
from image_toolkit.images.image_errors import NotAnImageError

_DAY: Final = 24 * 3600


def thumbnail(site: Site, request: Request) -> Response:
    """Return a row's image as a thumbnail; a grey square with the reason if there is none."""
    return _answer(
        site, request, lambda manifest, row: (site.pictures.thumbnail(manifest, row), "image/jpeg")
    )


def original(site: Site, request: Request) -> Response:
    """Return a row's image as it is in the dataset; a grey square if there is none."""
    return _answer(site, request, site.pictures.shown)


def _answer(
    site: Site, request: Request, make: Callable[[Manifest, str], tuple[bytes, str]]
) -> Response:
    names = request.path_params
    manifest = site.place.dataset(names["pipeline"], names["step"], names["key"])
    try:
        return _image(*make(manifest, names["row"]))
    except NotAnImageError as error:
        return _image(_without_image(error.reason), "image/png")
    except FondantError:
        return _image(_without_image("cannot be read"), "image/png")


def _image(data: bytes, kind: str) -> Response:
    headers = {
        "Content-Security-Policy": IMAGE_POLICY,
        "Content-Disposition": "inline",
        "Cache-Control": f"private, max-age={_DAY}, immutable",
    }
    return Response(data, media_type=kind, headers=headers)


def _without_image(reason: str) -> bytes:
    image = Image.new("RGB", (384, 384), (128, 128, 128))
    words = reason.replace("_", " ")
    ImageDraw.Draw(image).text((192, 192), words, (255, 255, 255), anchor="mm", font_size=28)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
