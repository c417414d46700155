"""The images that `build_images.sh` built, as its lock files name them.

A lock file lies beside a component's folder; for those in `components/`, and others of the
repository, one folder further up.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fondant_spec.errors import InvalidConfigError
from fondant_spec.pipeline.plan import PlannedStep
from fondant_spec.spec.component_spec import ComponentSpec

LOCK_FILE: Final = "images.lock"
BUILD_SCRIPT: Final = "build_images.sh"

_SHA256: Final = r"sha256:[0-9a-f]{64}"
_ID: Final = re.compile(_SHA256)
_CODE: Final = re.compile(f"{_SHA256}(,{_SHA256})*")

_HOST: Final = r"(?:(?!-)[A-Za-z0-9-]+(?<!-)(?:\.(?!-)[A-Za-z0-9-]+(?<!-))*|\[[0-9A-Fa-f:]+\])"
_PART: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DIGEST: Final = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE: Final = re.compile(
    rf"(?=[^@]{{1,255}}(?:@|$))(?:{_HOST}(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
    rf"(?::\w[\w.-]{{0,127}})?(?:@{_DIGEST})?",
    re.ASCII,
)
"""How images are named: https://pkg.go.dev/github.com/distribution/reference."""


@dataclass(frozen=True)
class Image:
    """A component's image.

    `name` is what a person calls it, with its tag. `id` is the exact image in the engine that built
    it, `digest` the exact image in a registry, with its name; None where not known. `code` are the
    digests of the code in it, one for each of the component's specs; none where not known.
    """

    name: str
    id: str | None = None
    digest: str | None = None
    code: tuple[str, ...] = ()

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
        InvalidConfigError: the lock file cannot be read, or the name is none of an image.
    """
    if spec.source is not None:
        lock = _lock_of(spec.source)
        built = read_lock(lock) if lock.is_file() else {}
        if spec.source.name in built:
            return built[spec.source.name]
    return Image(_checked(spec.image, str(spec.path or spec.name)))


def read_lock(path: Path) -> dict[str, Image]:
    """Return the images in a lock file by the folder names of their components.

    Raises:
        InvalidConfigError: a line is not `component image id digest code`.
    """
    images = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.split()
        if not words or line.startswith("#"):
            continue
        where = f"{path}, line {number}"
        if len(words) != 5 or not (_ID.fullmatch(words[2]) and _CODE.fullmatch(words[4])):  # noqa: PLR2004 - the words below
            msg = (
                f"{where}: expected component, image, id, digest and code; remove the file and "
                f"build the images again with {BUILD_SCRIPT}."
            )
            raise InvalidConfigError(msg)
        component, name, image_id, digest, code = words
        images[component] = Image(
            _checked(name, where),
            image_id,
            None if digest == "-" else _checked(digest, where),
            tuple(code.split(",")),
        )
    return images


def build_command(spec: ComponentSpec) -> str:
    """Return the command that builds the image of a component whose code is at hand."""
    if spec.source is None:
        msg = f"{spec.name} is an image only."
        raise ValueError(msg)
    listed = (spec.source.parent.parent / BUILD_SCRIPT).is_file()
    known = listed and spec.source.parent.name == "components"
    component = spec.source.name if known else os.path.relpath(spec.source)
    return f"bash {BUILD_SCRIPT} -C {shlex.quote(component)}"


def refuse_other_code(steps: Iterable[PlannedStep]) -> None:
    """Make sure that no image is known to hold other code than was planned with.

    It would write its results under a key of the present code.

    Raises:
        InvalidConfigError: one does.
    """
    for planned in steps:
        image = image_of(planned.spec)
        if image.code and planned.key_parts["code"] not in image.code:
            msg = (
                f"{planned.id}: the image {image.name} was built from other code than the present; "
                f"run: {build_command(planned.spec)}"
            )
            raise InvalidConfigError(msg)


def doubts(steps: Sequence[PlannedStep]) -> Iterator[str]:
    """Yield a line for a person about images that may not be what a cluster's nodes get."""
    images = {image_of(one.spec) for one in steps if one.spec.source is not None}
    if unpushed := sorted(image.name for image in images if image.id and not image.digest):
        yield f"not pushed, so the cluster's nodes must have them: {', '.join(unpushed)}"
    if unknown := sorted(image.name for image in images if not image.code):
        yield (
            f"in no {LOCK_FILE}, so whether they hold the present code is not known: "
            f"{', '.join(unknown)}"
        )
    others = {one.spec.image for one in steps if one.spec.source is None}
    if moving := sorted(name for name in others if "@" not in name):
        yield (
            "named by a tag, which may come to mean another image while results are kept under the "
            f"same key; name a digest (image@sha256:...): {', '.join(moving)}"
        )


def _lock_of(source: Path) -> Path:
    """Return where `build_images.sh` notes the image of the component in a folder."""
    beside, above = source.parent, source.parent.parent
    inside = beside.name == "components" or (above / BUILD_SCRIPT).is_file()
    return (above if inside else beside) / LOCK_FILE


def _checked(name: str, where: str) -> str:
    """Return the name of an image, which no command line then takes for an option."""
    if not _REFERENCE.fullmatch(name):
        msg = f"{where}: {name!r} is no name of an image, such as ghcr.io/me/my_filter:v1."
        raise InvalidConfigError(msg)
    return name
