"""The images that `build_images.sh` built, as its lock file names them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fondant_spec.errors import InvalidConfigError
from fondant_spec.spec.component_spec import ComponentSpec

LOCK_FILE: Final = "images.lock"

_ID: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Image:
    """A component's image.

    `name` is what a person calls it, with its tag. `id` is the exact image in the engine that built
    it, `digest` the exact image in a registry, with its name; None where not known.
    """

    name: str
    id: str | None = None
    digest: str | None = None

    @property
    def here(self) -> str:
        """The most exact reference that serves on the machine that built it."""
        return self.id or self.digest or self.name

    @property
    def anywhere(self) -> str:
        """The most exact reference that serves on another machine."""
        return self.digest or self.name


def image_of(spec: ComponentSpec) -> Image:
    """Return a component's image: the one that was built last, else the one its spec names.

    Raises:
        InvalidConfigError: the lock file cannot be read.
    """
    if spec.source is not None:
        lock = spec.source.parents[1] / LOCK_FILE
        if lock.is_file() and spec.source.parent.name == "components":
            return read_lock(lock).get(spec.source.name, Image(spec.image))
    return Image(spec.image)


def read_lock(path: Path) -> dict[str, Image]:
    """Return the images in a lock file by the folder names of their components.

    Raises:
        InvalidConfigError: a line is not `component image id digest`.
    """
    images = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) != 4 or not _ID.fullmatch(words[2]):  # noqa: PLR2004 - the words below
            msg = (
                f"{path}, line {number}: expected component, image, id and digest; remove the file "
                "and build the images again with build_images.sh."
            )
            raise InvalidConfigError(msg)
        component, name, image_id, digest = words
        images[component] = Image(name, image_id, None if digest == "-" else digest)
    return images
