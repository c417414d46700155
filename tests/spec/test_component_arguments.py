from dataclasses import dataclass

import pytest

from fondant_spec.errors import InvalidComponentSpecError
from fondant_spec.spec.component_arguments import bound, group_of


@dataclass(frozen=True)
class Rendering:
    """A group of arguments."""

    image_size: int = 512
    quality: int = 95
    internal: int = 7


@dataclass(frozen=True)
class Sampling:
    """A group with a field that has to be given."""

    seed: int
    quality: int = 1


@dataclass
class Mutable:
    """A dataclass that is no group, since it is not frozen."""

    image_size: int = 512


class Plain:
    """Without groups."""

    def __init__(self, *, retries: int = 2, url: str | None = None) -> None: ...


class Grouped:
    """With a group and a plain parameter."""

    def __init__(self, *, rendering: Rendering, retries: int = 2) -> None: ...


class Quoted:
    """With an annotation as a text."""

    def __init__(self, *, rendering: "Rendering") -> None: ...


class TwoGroups:
    """With two groups that share the name of a field."""

    def __init__(self, *, rendering: Rendering, sampling: Sampling) -> None: ...


class Clash:
    """With a parameter that has the name of a group's field."""

    def __init__(self, *, rendering: Rendering, quality: int = 3) -> None: ...


class NeedsSeed:
    """With a group that cannot be made without an argument."""

    def __init__(self, *, sampling: Sampling) -> None: ...


class TakesAny:
    """Takes arguments of any name."""

    def __init__(self, *, retries: int = 2, **others: object) -> None: ...


class TakesDataclass:
    """With a parameter that is no group."""

    def __init__(self, *, settings: Mutable) -> None: ...


class Bare:
    """Takes nothing."""


@pytest.mark.parametrize(
    ("component", "arguments", "expected"),
    [
        (Bare, {}, {}),
        (Plain, {"retries": 1, "url": None}, {"retries": 1, "url": None}),
        (
            Grouped,
            {"quality": 80, "retries": 1, "image_size": 64},
            {"rendering": Rendering(64, 80, 7), "retries": 1},
        ),
        (Grouped, {"quality": 80, "retries": 1}, {"rendering": Rendering(512, 80), "retries": 1}),
        (Quoted, {"quality": 80}, {"rendering": Rendering(512, 80)}),
        (TakesAny, {"retries": 1, "a": 2}, {"retries": 1, "a": 2}),
        (
            TwoGroups,
            {"image_size": 1, "seed": 2},
            {"rendering": Rendering(1), "sampling": Sampling(2)},
        ),
    ],
)
def test_arguments_find_their_parameters(component, arguments, expected):
    """Each argument goes to the parameter of its name, or to the group with such a field."""
    values = bound(component, arguments)
    assert values == expected
    component(**values)


@pytest.mark.parametrize(
    ("component", "arguments", "problem"),
    [
        (
            Plain,
            {"retries": 1, "url": None, "proxy": ""},
            "Plain.__init__: no parameter takes the argument 'proxy' of the spec",
        ),
        (
            Bare,
            {"proxy": ""},
            "Bare.__init__: no parameter takes the argument 'proxy' of the spec",
        ),
        (
            Plain,
            {"retries": 1},
            "Plain.__init__: the spec declares no argument for its parameter 'url'",
        ),
        (
            Grouped,
            {"retries": 1},
            "Grouped.__init__: the spec declares no argument of the group 'rendering'",
        ),
        (
            TwoGroups,
            {"image_size": 1, "seed": 2, "quality": 3},
            (
                "TwoGroups.__init__: both the group 'rendering' and the group 'sampling' take the "
                "argument 'quality'"
            ),
        ),
        (
            Clash,
            {"image_size": 1, "quality": 3},
            (
                "Clash.__init__: both the parameter 'quality' and the group 'rendering' take the "
                "argument 'quality'"
            ),
        ),
        (
            NeedsSeed,
            {"quality": 3},
            "NeedsSeed.__init__: the group 'sampling' needs 'seed', which the spec lacks",
        ),
        (
            TakesDataclass,
            {"image_size": 3},
            "TakesDataclass.__init__: the spec declares no argument for its parameter 'settings'",
        ),
    ],
)
def test_a_component_that_does_not_fit_its_spec_is_refused(component, arguments, problem):
    """What `__init__` and the spec do not agree on is named in one sentence."""
    with pytest.raises(InvalidComponentSpecError) as caught:
        bound(component, arguments)
    assert str(caught.value) == f"{problem}; make the two agree."


def test_only_frozen_dataclasses_are_groups():
    """A group is a value: it cannot be changed once it is filled."""
    assert group_of(Grouped, "rendering") is Rendering
    assert group_of(Grouped, "retries") is None
    assert group_of(TakesDataclass, "settings") is None
