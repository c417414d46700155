"""The modules that a component's code imports, according to its source."""

import sys
from pathlib import Path

import pytest

from fondant_spec.errors import InvalidComponentError
from fondant_spec.spec import imported_modules as subject
from fondant_spec.spec.imported_modules import imported_modules

FILES = {
    "toys/__init__.py": "",
    "toys/ball.py": "import os\nfrom toys.parts import rubber\n",
    "toys/parts/__init__.py": "from .glue import *\n",
    "toys/parts/glue.py": "STICKS = True\n",
    "toys/parts/rubber.py": "from ..colours.red import RED\nfrom . import wheel, STICKS\n",
    "toys/parts/wheel.py": "def turn():\n    import toys.engine\n",
    "toys/engine.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import toys.lazy\n",
    "toys/lazy.py": "try:\n    import toys.ball\nexcept ImportError:\n    import toys.spare\n",
    "toys/spare.py": "",
    "toys/colours/red.py": "RED = 1\n",
    "toys/unused.py": "",
    "toys/box/__init__.py": "",
    "toys/box/one.py": "",
    "toys/box/py.typed": "",
    "toys/loop_a.py": "from toys import loop_b\n",
    "toys/loop_b.py": "from toys import loop_a\n",
    "games/__init__.py": "import games.dice\n",
    "games/dice.py": "",
    "games/cards/__init__.py": "",
    "games/cards/deck.py": "",
    "other/__init__.py": "from toys import unused\n",
}


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Return a function that tells the modules which a program imports."""
    for name, content in FILES.items():
        file = tmp_path / "lib" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "lib")
    monkeypatch.setattr(subject, "_registered", lambda: ("games.cards", "toys"))

    def tell(code: str) -> set[str]:
        program = tmp_path / "main.py"
        program.write_text(code, encoding="utf-8")
        modules = imported_modules([program])
        for name, file in modules.items():
            assert file.relative_to(tmp_path / "lib").with_suffix("").as_posix() in {
                name.replace(".", "/"),
                name.replace(".", "/") + "/__init__",
            }
        assert not {"toys", "games"} & sys.modules.keys()
        return set(modules)

    return tell


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("", set()),
        ("import os, numpy.linalg\nfrom pathlib import Path\nimport other\n", set()),
        ("import toys", {"toys"}),
        ("import os, toys.spare as s", {"toys", "toys.spare"}),
        ("from toys import spare, nothing_there", {"toys", "toys.spare"}),
        ("from toys.colours.red import RED", {"toys", "toys.colours.red"}),
        ("from toys.box import *", {"toys", "toys.box", "toys.box.one"}),
        ("from toys import loop_a", {"toys", "toys.loop_a", "toys.loop_b"}),
        (
            "from toys.parts.glue import STICKS",
            {"toys", "toys.parts", "toys.parts.glue"},
        ),
        ("class A:\n    def b(self):\n        import toys.spare", {"toys", "toys.spare"}),
        ("async def f():\n    with x:\n        import toys.spare", {"toys", "toys.spare"}),
        ("match x:\n    case 1:\n        import toys.spare", {"toys", "toys.spare"}),
        ("for a in b: pass\nelse:\n    import toys.spare", {"toys", "toys.spare"}),
        ("try: pass\nfinally:\n    import toys.spare", {"toys", "toys.spare"}),
        ("from . import toys", set()),
        ("from .toys import ball", set()),
        ("import games.dice", set()),
        ("import games", set()),
        ("import games.cards.deck", {"games", "games.cards", "games.cards.deck"}),
        ("from games import cards", {"games", "games.cards"}),
        (
            "import toys.ball",
            {f"toys.{name}" for name in ("ball", "parts", "engine", "lazy", "spare")}
            | {"toys", "toys.parts.glue", "toys.parts.rubber", "toys.parts.wheel"}
            | {"toys.colours.red"},
        ),
    ],
)
def test_what_is_found(found, code, modules):
    """Registered packages' modules, wherever the import stands, and theirs; nothing is imported."""
    assert found(code) == modules


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import toys.nothing", "imports toys.nothing, which cannot be found"),
        ("from toys.nothing import x", "imports toys.nothing, which cannot be found"),
        ("import toys.spare.deeper", "imports toys.spare.deeper, which cannot be found"),
        ("import toys.spare\nx = = 1", "not valid Python (invalid syntax"),
        ("x = '\0'", "not valid Python ("),
    ],
)
def test_what_cannot_be_found(found, code, message):
    """A module that is not there, or code that cannot be read, is an error and never left out."""
    with pytest.raises(InvalidComponentError) as caught:
        found(code)
    assert f"main.py: {message}" in str(caught.value)


def test_too_far_up(found, tmp_path):
    """A relative import that leaves its package is an error."""
    (tmp_path / "lib" / "toys" / "spare.py").write_text("from ... import x\n")
    with pytest.raises(InvalidComponentError, match=r"spare\.py: imports \.\.\., which cannot"):
        found("import toys.spare")


def test_a_package_that_is_one_file(tmp_path, monkeypatch):
    """A registered package may be a single module."""
    (tmp_path / "single_toy.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(subject, "_registered", lambda: ("single_toy",))
    program = tmp_path / "main.py"
    program.write_text("from single_toy import anything\n")
    assert imported_modules([program]) == {"single_toy": tmp_path / "single_toy.py"}


def test_an_installation_that_registers_nothing(monkeypatch):
    """Where not even this package's own toolkit is registered, what counts cannot be told."""
    monkeypatch.setattr(subject, "entry_points", lambda **_: [])
    subject._registered.cache_clear()
    with pytest.raises(InvalidComponentError, match="is older than its code"):
        imported_modules([])


def test_the_toolkit_is_nothing_but_modules():
    """Data beside a registered package's modules would change results and no key."""
    toolkit = Path(__file__).parents[2] / "image_toolkit"
    data = {
        file.name
        for file in toolkit.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".py"
    }
    assert data == {"py.typed"}
