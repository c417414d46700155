from dataclasses import replace

import pytest

from demo.evaluate import names
from demo.photos import PHOTOS, SUBJECTS, load
from fondant_spec.errors import MissingDependencyError


def test_there_are_sixteen_subjects_of_one_word():
    """Every subject is one lower-case word, and no two are equal."""
    assert len(set(SUBJECTS)) == 16
    assert all(subject.isalpha() and subject.islower() for subject in SUBJECTS)


@pytest.mark.parametrize("photo", PHOTOS, ids=SUBJECTS)
def test_a_photo_ships_with_an_installed_package(photo):
    """Every photograph opens offline, in RGB, large enough to crop."""
    image = load(photo.subject)
    assert image.mode == "RGB"
    assert 300 <= min(image.size) <= max(image.size) <= 1000


@pytest.mark.parametrize("photo", PHOTOS, ids=SUBJECTS)
def test_a_phrase_names_its_own_subject_only(photo):
    """What is said of a photograph names its subject and no other, so that captions can be told."""
    for phrase in (photo.close, photo.medium, photo.wide):
        assert names(phrase) == (photo.subject,)


def test_a_missing_package_is_named_with_what_to_do():
    """A photograph whose package is missing says which, and how to install it."""
    photo = replace(PHOTOS[0], package="no_such_package")
    with pytest.raises(MissingDependencyError) as caught:
        photo.path()
    assert str(caught.value) == (
        "the demo's photograph 'data/astronaut.png' comes with the package 'no_such_package', "
        "which is missing: pip install scikit-image scikit-learn matplotlib"
    )
