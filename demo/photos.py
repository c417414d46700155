"""Sixteen real photographs that ship with scikit-image, scikit-learn and matplotlib.

They are read from the installed packages, never from the network. Each has a one-word subject, true
descriptions at three distances, and a credit.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from PIL import Image

from fondant_spec.errors import MissingDependencyError

Side = Literal["left", "right"]

WHOLE = (0.0, 0.0, 1.0, 1.0)
LONGEST_SIDE = 1000  # pixels; the two larger originals gain nothing from more


@dataclass(frozen=True)
class Photo:
    """A photograph and its description.

    Attributes:
        subject: one word, part of every caption of the photograph.
        package: the Python package that ships the file.
        file: the path inside that package.
        close, medium, wide: what a crop at that distance shows. `{side}` stands for `side`.
        also: other words that web pages use for the subject.
        credit: author and licence.
        side: the position of what a phrase calls `{side}`, in the photograph as shipped.
        focus: the position of the subject, as (left, top, right, bottom) in fractions of the image.
    """

    subject: str
    package: str
    file: str
    close: str
    medium: str
    wide: str
    also: tuple[str, ...]
    credit: str
    side: Side = "left"
    focus: tuple[float, float, float, float] = WHOLE

    def path(self) -> Path:
        """Return the file's path in this environment.

        Raises:
            MissingDependencyError: the package is not installed, or lacks the file.
        """
        spec = find_spec(self.package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(root) / self.file
            if path.is_file():
                return path
        message = (
            f"the demo's photograph {self.file!r} comes with the package {self.package!r}, which "
            "is missing: pip install scikit-image scikit-learn matplotlib"
        )
        raise MissingDependencyError(message)


SKIMAGE_CC0 = "via scikit-image, CC0"
SKIMAGE_FREE = "via scikit-image, no known copyright restrictions"

PHOTOS: tuple[Photo, ...] = (
    Photo(
        subject="astronaut",
        package="skimage",
        file="data/astronaut.png",
        close="an astronaut in an orange suit",
        medium="a smiling astronaut in an orange space suit",
        wide="an astronaut with a flag on the {side}",
        also=("Eileen Collins", "NASA portrait", "space suit"),
        credit=f"NASA, {SKIMAGE_FREE}",
        side="left",
        focus=(0.2, 0.0, 0.75, 1.0),
    ),
    Photo(
        subject="cat",
        package="skimage",
        file="data/chelsea.png",
        close="a cat with green eyes",
        medium="a tabby cat with long white whiskers",
        wide="a tabby cat with its face turned to the {side}",
        also=("kitten", "Chelsea", "gato", "chat tigré"),
        credit=f"Stefan van der Walt, {SKIMAGE_CC0}",
        side="right",
        focus=(0.1, 0.0, 0.85, 1.0),
    ),
    Photo(
        subject="coffee",
        package="skimage",
        file="data/coffee.png",
        close="a white cup of coffee",
        medium="a cup of coffee on a red saucer",
        wide="a cup of coffee on a wooden table, its spoon on the {side}",
        also=("espresso", "café", "barista", "coffee break"),
        credit=f"Rachel Michetti, {SKIMAGE_CC0}",
        side="right",
        focus=(0.15, 0.02, 0.82, 0.95),
    ),
    Photo(
        subject="rocket",
        package="skimage",
        file="data/rocket.jpg",
        close="a white rocket before its launch",
        medium="a white rocket on a launch pad with bright lamps",
        wide="a rocket between tall masts at dusk",
        also=("launch pad", "Falcon 9", "spaceflight", "Cape Canaveral"),
        credit="SpaceX, via scikit-image, public domain",
        focus=(0.36, 0.28, 0.66, 1.0),
    ),
    Photo(
        subject="motorcycle",
        package="skimage",
        file="data/motorcycle_left.png",
        close="the shining metal of a red motorcycle",
        medium="a red motorcycle heading {side} in a garage",
        wide="a red motorcycle facing {side} before a shelf of boxes",
        also=("motorbike", "garage find", "vintage bike", "moto"),
        credit="Nesic et al., Middlebury Stereo Datasets 2014, via scikit-image",
        side="right",
        focus=(0.1, 0.2, 0.95, 0.95),
    ),
    Photo(
        subject="temple",
        package="sklearn",
        file="datasets/images/china.jpg",
        close="a temple with curved roofs",
        medium="a tall red temple above the trees",
        wide="a temple on a hill with a lake on the {side}",
        also=("pagoda", "Summer Palace", "Beijing", "travel China"),
        credit="danielbuechele, via scikit-learn, CC BY 2.0",
        side="right",
        focus=(0.08, 0.04, 0.6, 0.98),
    ),
    Photo(
        subject="flower",
        package="sklearn",
        file="datasets/images/flower.jpg",
        close="a flower with many orange petals",
        medium="a round orange flower before dark leaves",
        wide="an orange flower in a dark green garden",
        also=("dahlia", "bloom", "gardening tips", "fleur"),
        credit="vultilion, via scikit-learn, CC BY 2.0",
        focus=(0.22, 0.15, 0.74, 1.0),
    ),
    Photo(
        subject="officer",
        package="matplotlib",
        file="mpl-data/sample_data/grace_hopper.jpg",
        close="a naval officer in a dark uniform",
        medium="a naval officer with glasses and a cap",
        wide="a naval officer in uniform with a flag on the {side}",
        also=("Grace Hopper", "Navy portrait", "rear admiral"),
        credit="US Navy, via matplotlib, public domain",
        side="left",
        focus=(0.25, 0.0, 0.8, 1.0),
    ),
    Photo(
        subject="retina",
        package="skimage",
        file="data/retina.jpg",
        close="the fine blood vessels of a retina",
        medium="a red retina with many blood vessels",
        wide="the round red disc of a retina",
        also=("fundus", "eye clinic", "ophthalmology"),
        credit=f"Mikael Häggström, {SKIMAGE_CC0}",
        focus=(0.08, 0.08, 0.92, 0.92),
    ),
    Photo(
        subject="moon",
        package="skimage",
        file="data/moon.png",
        close="craters on the grey moon",
        medium="the surface of the moon with a few craters",
        wide="a plain with craters and hills on the moon",
        also=("lunar surface", "craters", "Mond"),
        credit="via scikit-image, public domain",
    ),
    Photo(
        subject="coins",
        package="skimage",
        file="data/coins.png",
        close="a few old Greek coins",
        medium="old Greek coins in rows",
        wide="a tray full of old Greek coins",
        also=("numismatics", "drachma", "Pompeii", "museum"),
        credit=f"Brooklyn Museum, {SKIMAGE_FREE}",
    ),
    Photo(
        subject="photographer",
        package="skimage",
        file="data/camera.png",
        close="a photographer looking into a camera",
        medium="a photographer in a dark coat facing {side}",
        wide="a photographer on a lawn facing {side} with a tripod",
        also=("cameraman", "tripod", "film set"),
        credit=f"Lav Varshney, {SKIMAGE_CC0}",
        side="right",
        focus=(0.05, 0.1, 0.72, 0.95),
    ),
    Photo(
        subject="brick",
        package="skimage",
        file="data/brick.png",
        close="a few bricks of a brick wall",
        medium="the pale joints of a grey brick wall",
        wide="rows and rows of a grey brick wall",
        also=("masonry", "wall texture", "seamless wall"),
        credit=f"CC0 Textures, {SKIMAGE_CC0}",
    ),
    Photo(
        subject="grass",
        package="skimage",
        file="data/grass.png",
        close="blades of dry grass",
        medium="a patch of dry grass",
        wide="a lawn of short dry grass",
        also=("lawn", "turf", "meadow texture"),
        credit=f"David Whittaker, {SKIMAGE_CC0}",
    ),
    Photo(
        subject="galaxies",
        package="skimage",
        file="data/hubble_deep_field.jpg",
        close="a few bright galaxies in the black sky",
        medium="distant galaxies in deep space",
        wide="hundreds of small galaxies in deep space",
        also=("Hubble", "deep field", "astronomy", "universe"),
        credit="NASA and ESA, via scikit-image, public domain",
    ),
    Photo(
        subject="tissue",
        package="skimage",
        file="data/ihc.png",
        close="brown and blue cells of stained tissue",
        medium="stained tissue with brown glands",
        wide="a slide of stained tissue under a microscope",
        also=("histology", "immunohistochemistry", "biopsy"),
        credit=f"Human Protein Atlas project, {SKIMAGE_FREE}",
    ),
)

BY_SUBJECT = {photo.subject: photo for photo in PHOTOS}
SUBJECTS = tuple(BY_SUBJECT)


@cache
def load(subject: str) -> Image.Image:
    """Return the photograph of `subject`, in RGB, at most `LONGEST_SIDE` pixels a side.

    The same object is returned each time: copy it before drawing on it.
    """
    with Image.open(BY_SUBJECT[subject].path()) as image:
        picture = image.convert("RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return picture
