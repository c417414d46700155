"""`fondant-spec push` against a local server that speaks the hub's protocol."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from fondant_spec.cli import main
from fondant_spec.exit_codes import EXIT_TEMPORARY
from tests.hub_server import REPOSITORY, Fault, HubServer, git_hash, running_hub
from tests.made_exports import export_in_layouts

TOKEN = "hf_neverShownAnywhere"
CONSTANTS = "huggingface_hub.constants"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export in two layouts, not to be changed."""
    return export_in_layouts(tmp_path_factory.mktemp("exported"), ["imagefolder", "simpletuner"])


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that has no dataset yet, and takes the place of the real one."""
    (tmp_path / "repository").mkdir()
    with running_hub(tmp_path / "repository") as server:
        server.exists = False
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(f"{CONSTANTS}.ENDPOINT", server.url)
        monkeypatch.setattr(f"{CONSTANTS}.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(f"{CONSTANTS}.HF_HUB_OFFLINE", False)
        monkeypatch.setattr(f"{CONSTANTS}.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(f"{CONSTANTS}.HF_HUB_CACHE", str(tmp_path / "cache"))
        quick = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
        monkeypatch.setattr("huggingface_hub.utils._http.time", quick)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


def push(export: Path, *words: str) -> int:
    """Run the command."""
    return main(["push", str(export), REPOSITORY, *words])


def test_at_first_it_is_only_listed(exported, hub, capsys):
    """Without --upload nothing is changed, and what would be sent is told by folder and size."""
    assert push(exported / "imagefolder") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"new private dataset {REPOSITORY}, revision main"
    assert told[1].startswith("  add     train/*.jpg  5 files, ")
    assert told[2].startswith("  add     train/*.jsonl  1 file, ")
    assert [line.split()[1] for line in told[3:6]] == ["croissant.json", "README.md", "export.json"]
    assert told[6] == "  without this machine's paths: README.md"
    assert told[7].startswith("to send: 9 files, ")
    assert told[8] == "nothing was sent; add --upload to send it"
    assert push(exported / "imagefolder", "--all") == 0
    assert "  add     train/000000000004.jpg" in capsys.readouterr().out.splitlines()
    assert not hub.exists
    assert not hub.commits


def test_what_is_pushed_is_the_export(exported, hub, capsys, tmp_path):
    """All files get there, the mark last, and the hub's own client reads the dataset from there."""
    assert push(exported / "imagefolder", "--upload", "--tag", "v1") == 0
    told = capsys.readouterr()
    assert told.out.endswith(f"pushed to {hub.url}/datasets/{REPOSITORY}/tree/v1\n")
    assert [hub.private, hub.tags, len(hub.commits)] == [True, ["v1"], 1]
    assert hub.commits[0][-2:] == ["README.md", "export.json"]
    api = huggingface_hub.HfApi()
    copy = Path(api.snapshot_download(REPOSITORY, repo_type="dataset", local_dir=tmp_path / "x"))
    listed = json.loads((copy / "export.json").read_text())["files"]
    for name, file in listed.items():
        assert git_hash((copy / name).read_bytes()) == git_hash((hub.root / name).read_bytes())
        assert (copy / name).stat().st_size == file["bytes"]
    sent = exported / "imagefolder" / "train"
    for image in sent.glob("*.jpg"):
        assert (copy / "train" / image.name).read_bytes() == image.read_bytes()
    card = huggingface_hub.DatasetCard.load(copy / "README.md")
    assert card.data.to_dict()["configs"]
    fetch = f"First `hf download {REPOSITORY} --repo-type dataset --local-dir path/to/this/folder`."
    assert fetch in card.text
    assert TOKEN not in told.out + told.err
    assert all(key == f"Bearer {TOKEN}" for path, key in hub.requests if "/api/" in path)


def test_no_path_of_this_machine_is_published(exported, hub):
    """The folder's path, which the commands of an export have, is none of the world's business."""
    assert push(exported, "--upload") == 0
    backends = (hub.root / "simpletuner/config/multidatabackend.json").read_text()
    assert json.loads(backends)[0]["instance_data_dir"] == "path/to/this/folder/simpletuner/train"
    for file in hub.root.rglob("*"):
        assert not file.is_file() or str(exported).encode() not in file.read_bytes()


def test_only_changes_are_sent_again(exported, hub, capsys, tmp_path):
    """A second push sends what is new, and removes what the first one brought and is gone."""
    assert push(exported / "imagefolder", "--upload") == 0
    assert push(exported / "imagefolder", "--upload") == 0
    assert "to send: 0 files" in capsys.readouterr().out
    assert len(hub.commits) == 1
    smaller = export_in_layouts(tmp_path / "smaller", ["imagefolder"], count=3)
    hub.write("notes.txt", b"somebody's own")
    assert push(smaller / "imagefolder") == 0
    told = capsys.readouterr().out
    assert "  remove  train/*.jpg  2 files" in told
    assert "  leave   1 files of others, notes.txt" in told
    assert push(smaller / "imagefolder", "--upload") == 0
    assert len(list(hub.root.glob("train/*.jpg"))) == 3
    assert (hub.root / "notes.txt").exists()
    changed = {"train/metadata.jsonl", "README.md", "export.json"}
    removed = {"train/000000000003.jpg", "train/000000000004.jpg"}
    assert set(hub.commits[1]) == changed | removed


def test_the_files_of_others_are_not_overwritten(exported, hub, capsys):
    """A repository with a README of its own is refused, unless it is to be replaced."""
    hub.exists = True
    hub.write("README.md", b"# My own words\n")
    assert push(exported / "imagefolder", "--upload") == 2
    assert capsys.readouterr().err == (
        f"error: {REPOSITORY}: has 'README.md', which was not pushed from an export; choose "
        "another repository or --revision, or add --overwrite.\n"
    )
    assert not hub.commits
    assert push(exported / "imagefolder", "--upload", "--overwrite") == 0
    assert (hub.root / "README.md").read_bytes().startswith(b"---\n")


def test_nothing_becomes_public_by_itself(exported, hub, capsys):
    """A repository that is public already is refused, and --public makes a new one so."""
    hub.exists, hub.private = True, False
    assert push(exported / "imagefolder", "--upload") == 2
    assert "is public, so all would see what is pushed; add --public" in capsys.readouterr().err
    assert not hub.commits
    hub.exists = False
    assert push(exported / "imagefolder", "--upload", "--public") == 0
    assert hub.private is False
    assert f"new PUBLIC dataset {REPOSITORY}" in capsys.readouterr().out


def test_a_tag_is_given_once(exported, hub, capsys):
    """A tag that is there is not moved, and nothing is sent."""
    hub.exists, hub.tags = True, ["v1"]
    assert push(exported / "imagefolder", "--upload", "--tag", "v1") == 2
    assert "has a tag 'v1' already; choose another --tag." in capsys.readouterr().err
    assert not hub.commits


@pytest.mark.parametrize("place", ["whoami", "/tree/", "/preupload/", "/batch", "/commit/"])
@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, (1, "the hub does not know the token (401); set HF_TOKEN")),
        (403, (1, "the token may not do this (403): it needs the right to write there.")),
        (429, (EXIT_TEMPORARY, "the hub wants fewer requests (429); run the same again later")),
        (503, (EXIT_TEMPORARY, "the hub failed (503); run the same again later")),
        (None, (EXIT_TEMPORARY, "the hub cannot be reached, or broke off (")),
    ],
)
def test_what_the_hub_refuses_is_one_line(exported, hub, capsys, place, status, told):
    """Wherever the hub refuses, fails or hangs up: one line, and a code that tells if it passes."""
    hub.exists = True
    hub.faults[place] = Fault(status)
    code, words = told
    assert push(exported / "imagefolder", "--upload") == code
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith(f"error: {REPOSITORY}: {words}")
    assert TOKEN not in printed.out + printed.err
    assert not hub.tags
    assert not hub.commits


def test_an_interrupted_push_goes_on(exported, hub):
    """Where the connection broke off, the next push sends the images that are not there yet."""
    hub.faults["/store/"] = Fault(None, after=3)
    assert push(exported / "imagefolder", "--upload") == EXIT_TEMPORARY
    stored = len(hub.store)
    assert 0 < stored < 5
    assert not hub.commits
    hub.faults.clear()
    before = len(hub.requests)
    assert push(exported / "imagefolder", "--upload") == 0
    sent = [path for path, _ in hub.requests[before:] if path.startswith("/store/")]
    assert len(sent) == 5 - stored
    assert len(list(hub.root.glob("train/*.jpg"))) == 5


def test_a_large_export_goes_in_parts(exported, hub, monkeypatch):
    """Where one commit is not enough, the mark is in the last: half is never taken for all."""
    monkeypatch.setattr("fondant_spec.hub.push._FILES_A_COMMIT", 4)
    assert push(exported / "imagefolder", "--upload") == 0
    assert [len(files) for files in hub.commits] == [4, 4, 1]
    assert hub.commits[-1] == ["export.json"]


@pytest.fixture
def _no_token(hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(f"{CONSTANTS}.HF_TOKEN_PATH", str(hub.root / "none"))


@pytest.mark.usefixtures("_no_token")
def test_without_a_token_nothing_is_sent(exported, hub, capsys):
    """It is said how to sign in."""
    assert push(exported / "imagefolder", "--upload") == 1
    told = capsys.readouterr().err
    assert told.startswith(f"error: {REPOSITORY}: there is no token for the hub; set HF_TOKEN")
    assert not hub.requests


@pytest.mark.usefixtures("_no_token")
def test_without_a_token_what_lies_here_is_listed(exported, hub, capsys):
    """The files are of this machine: they are told, and that the hub was not asked."""
    assert push(exported / "imagefolder") == 0
    first, *told, unasked, nothing = capsys.readouterr().out.splitlines()
    assert first == f"private dataset {REPOSITORY}, revision main"
    assert told[0].startswith("  add     train/*.jpg  5 files, ")
    assert told[-1].startswith("to send: 9 files, ")
    assert unasked.startswith(
        "the hub was not asked what it has of them: there is no token; to send them, set HF_TOKEN"
    )
    assert nothing == "nothing was sent; add --upload to send it"
    assert not hub.requests


@pytest.mark.usefixtures("_no_token")
def test_a_name_of_no_repository_is_refused_without_a_token(exported, capsys):
    """Whether a name can be one is known here."""
    assert main(["push", str(exported / "imagefolder"), "a/b/c"]) == 1
    assert "'a/b/c' is no name of a repository; it reads `owner/name`" in capsys.readouterr().err


def test_offline_nothing_is_sent(exported, hub, capsys, monkeypatch):
    """HF_HUB_OFFLINE is said to be what stands in the way, and not in that of a list."""
    monkeypatch.setattr(f"{CONSTANTS}.HF_HUB_OFFLINE", True)
    assert push(exported / "imagefolder", "--upload") == 1
    assert "HF_HUB_OFFLINE is set, so nothing is sent; unset it." in capsys.readouterr().err
    assert push(exported / "imagefolder") == 0
    assert "the hub was not asked what it has of them: HF_HUB_OFFLINE" in capsys.readouterr().out
    assert not hub.requests


def test_only_what_was_checked_is_pushed(tmp_path, hub, capsys):
    """An export that was edited since it was read back is refused, and so is any other folder."""
    export = export_in_layouts(tmp_path / "mine", ["kohya"], count=2)
    text = export / "kohya" / "train" / "1_images" / "000000000000.txt"
    text.write_text("other words")
    (export / "kohya" / "train" / "notes.txt").write_text("mine")
    assert push(export, "--upload") == 1
    told = capsys.readouterr().err
    assert "000000000000.txt was edited, kohya/train/notes.txt was added. Export anew" in told
    assert push(tmp_path, "--upload") == 2
    assert "is no export; name the step that exported, or the folder" in capsys.readouterr().err
    assert not hub.requests


@pytest.mark.usefixtures("hub")
def test_a_step_is_pushed_by_its_name(tmp_path, capsys):
    """The newest result of a step that exported is found below the base path."""
    export_in_layouts(tmp_path, ["imagefolder"], count=2, own_folder=True)
    words = ["push", "export_dataset", REPOSITORY, "--base-path", str(tmp_path / "base")]
    assert main(words) == 0
    assert "  add     imagefolder/train/*.jpg  2 files" in capsys.readouterr().out
    assert main(["push", "given", *words[2:]]) == 2
    assert "given: the step exported nothing" in capsys.readouterr().err
