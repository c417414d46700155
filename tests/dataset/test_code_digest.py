"""The digest of a component's code: what changes it, and what does not."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fondant_spec.dataset import code_digest as subject
from fondant_spec.dataset.code_digest import code_digest, folder_digests
from fondant_spec.spec.component_spec import ComponentSpec
from tests.small import COMPONENTS

ROOT = Path(__file__).parents[2]
NAMES = sorted(spec.parent.name for spec in (ROOT / "components").glob("*/fondant_component.yaml"))
PROGRAM = """
import json, sys
from pathlib import Path
from fondant_spec.dataset.code_digest import folder_digests
print(json.dumps({f.name: folder_digests(f)[0] for f in map(Path, sys.argv[1:])}))
"""


@pytest.fixture
def component(tmp_path):
    """Return a copy of a component, to be changed."""
    return Path(shutil.copytree(COMPONENTS / "double", tmp_path / "double"))


@pytest.fixture
def checkout(tmp_path):
    """Return a copy of the toolkit and the components, to be changed."""
    for name in ("image_toolkit", "components"):
        shutil.copytree(
            ROOT / name, tmp_path / "repo" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path / "repo"


def told(folder: Path, *path: Path) -> dict[str, str]:
    """Return the digests of a checkout's components, told by a process that takes its toolkit."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *(str(folder / "components" / name) for name in NAMES)],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (*path, folder, ROOT)))},
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def rekeyed(checkout: Path, file: str, text: str = "# a comment\n") -> set[str]:
    """Add to a file of a checkout; return the components whose digest is another one then."""
    before = told(checkout)
    with (checkout / file).open("a", encoding="utf-8") as content:
        content.write(text)
    after = told(checkout)
    return {name for name in NAMES if before[name] != after[name]}


@pytest.mark.parametrize(
    ("file", "components"),
    [
        ("image_toolkit/retrieval/search/hits.py", {"laion_retrieval", "mix_embeddings"}),
        ("image_toolkit/retrieval/build/index_cli.py", set()),
        (
            "image_toolkit/images/decoding.py",
            {"caption_images", "download_images", "evaluate_images", "export_dataset"}
            | {"fine_tune", "image_embedding", "load_from_hub", "score_images", "tag_images"}
            | {"text_embedding"},
        ),
        ("image_toolkit/crawl/__init__.py", {"download_images"}),
        # Imported within a function only.
        ("image_toolkit/models/captioning/endpoint.py", {"caption_images"}),
        ("image_toolkit/__init__.py", set(NAMES) - {"generate_prompts"}),
        ("components/generate_prompts/src/interior_design.yaml", {"generate_prompts"}),
        ("components/caption_images/README.md", set()),
    ],
)
def test_a_change_touches_those_who_import_it(checkout, file, components):
    """A comment in a module makes new digests for the components that import it, and no others."""
    assert rekeyed(checkout, file) == components


def test_installed_or_not(checkout, tmp_path):
    """The digest does not depend on where the toolkit and the component lie."""
    site = Path(shutil.copytree(checkout / "image_toolkit", tmp_path / "site" / "image_toolkit"))
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(checkout / "components", elsewhere / "components")
    assert told(checkout) == told(elsewhere, site.parent)


def test_ones_own_toolkit(checkout, tmp_path):
    """A package that another distribution registers counts, too."""
    site = tmp_path / "site"
    (site / "my_toolkit").mkdir(parents=True)
    (site / "my_toolkit" / "__init__.py").write_text("")
    information = site / "my_toolkit-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-toolkit\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[fondant_spec.component_packages]\nmy_toolkit = my_toolkit\n"
    )
    main = checkout / "components" / "generate_prompts" / "src" / "main.py"
    main.write_text(f"import my_toolkit\n{main.read_text()}")
    before = told(checkout, site)
    (site / "my_toolkit" / "__init__.py").write_text("X = 1\n")
    after = told(checkout, site)
    assert {name for name in NAMES if before[name] != after[name]} == {"generate_prompts"}


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "src" / "main.py").open("a").write("# more\n"),
        lambda folder: (folder / "src" / "helper.py").write_text("X = 1\n"),
        lambda folder: (folder / "src" / "words.txt").write_text("a\n"),
        lambda folder: (folder / "src" / "main.py").rename(folder / "src" / "main_2.py"),
        lambda folder: (folder / "fondant_component.yaml").open("a").write("tags: [a]\n"),
    ],
)
def test_what_is_code(component, change):
    """A change to the spec or anything in `src` makes another digest."""
    before = folder_digests(component)
    change(component)
    assert folder_digests(component) != before


def test_what_is_no_code(component):
    """What an image does not have of the folder makes no difference, nor does its place."""
    before = code_digest(ComponentSpec.from_file(component))
    (component / "src" / "__pycache__").mkdir()
    (component / "src" / "__pycache__" / "main.pyc").write_bytes(b"x")
    (component / "src" / ".main.py.swp").write_bytes(b"x")
    (component / "src" / ".cache").mkdir()
    (component / "src" / ".cache" / "x").write_bytes(b"x")
    (component / ".hidden.yaml").write_text("x", encoding="utf-8")
    (component / "README.md").write_text("words", encoding="utf-8")
    (component / "requirements.txt").write_text("numpy\n", encoding="utf-8")
    moved = Path(shutil.move(component, component.with_name("elsewhere")))
    assert code_digest(ComponentSpec.from_file(moved)) == before
    assert folder_digests(moved) == [before]


def test_a_folder_that_is_a_link(component, tmp_path):
    """Files behind a link in `src` are code like others."""
    (tmp_path / "shared").mkdir()
    (component / "src" / "shared").symlink_to(tmp_path / "shared")
    before = folder_digests(component)
    (tmp_path / "shared" / "words.txt").write_text("a")
    assert folder_digests(component) != before


def test_each_spec_has_a_digest(component):
    """Of several specs for one code each has a digest, in the order of their names."""
    other = component / "a_variant.yaml"
    other.write_text((component / "fondant_component.yaml").read_text() + "tags: [a]\n")
    digests = [code_digest(ComponentSpec.from_file(spec)) for spec in (other, component)]
    assert folder_digests(component) == digests
    assert len(set(digests)) == 2
    printed = subprocess.run(
        [sys.executable, "-m", "fondant_spec.dataset.code_digest", component.name],
        check=True,
        capture_output=True,
        text=True,
        cwd=component.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ).stdout
    assert printed == ",".join(digests) + "\n"


def test_the_data_contract_counts(monkeypatch):
    """When the framework writes other rows or files, every digest is another one."""
    folders = [COMPONENTS / "double", *(ROOT / "components" / name for name in NAMES)]
    before = [digest for folder in folders for digest in folder_digests(folder)]
    monkeypatch.setattr(subject, "DATA_CONTRACT", subject.DATA_CONTRACT + 1)
    after = [digest for folder in folders for digest in folder_digests(folder)]
    assert not set(before) & set(after)


def test_without_code_the_image_stands_for_it(tmp_path):
    """A component that is only an image is told by the image."""
    file = tmp_path / "fondant_component.yaml"
    shutil.copy(COMPONENTS / "double" / "fondant_component.yaml", file)
    spec = ComponentSpec.from_file(file)
    assert code_digest(spec) == "image:fondant/double:dev"
    assert code_digest(replace(spec, image="fondant/double:1")) == "image:fondant/double:1"
