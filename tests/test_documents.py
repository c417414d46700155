"""The commands in the documents: each is read by the very program that it names.

Commands stand in code blocks, or in the text between backticks. Those in the text may lack what
follows: `fondant-spec index build` names a command, whose arguments the page tells elsewhere. The
Python in the documents runs, too: see `conftest.py`.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import pipeline
from demo import finetune, run
from examples import caption_my_images, train_and_evaluate
from fondant_spec import cli
from fondant_spec.runners.kubeflow import Cluster
from fondant_spec.spec.arguments import split_argv
from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.executor_options import EXECUTOR_ARGUMENTS
from pipeline_configs import PipelineConfigs
from tests.documents import CONFIGS

ROOT = Path(__file__).parents[1]
FOLDERS = ("", "docs/", "components/*/", "examples/*/", "benchmarks/", "demo/models/*/")
PAGES = sorted(page for folder in FOLDERS for page in ROOT.glob(f"{folder}*.md"))
PROGRAMS = ("fondant-spec", "python", "bash", "make", "export")
PIPELINES = {
    "pipeline.py": pipeline.main,
    "demo/run.py": run.main,
    "demo/finetune.py": finetune.main,
    "examples/caption_my_images.py": caption_my_images.main,
    "examples/train_and_evaluate.py": train_and_evaluate.main,
}
SETTING = re.compile(r"([A-Z_]+)=(.*)")
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def lines_of(page: Path) -> Iterator[tuple[str, bool]]:
    """Find the lines of code in a page, and whether they stand alone or in the text."""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type in ("code_block", "fence"):
            lines = token.content.replace("\\\n", " ").splitlines()
            yield from ((line.strip(), True) for line in lines)
        yield from ((c.content, False) for c in token.children or () if c.type == "code_inline")


def command_of(line: str, *, alone: bool) -> tuple[dict[str, str], list[str]]:
    """Return the settings before a command, and its words, with a name for `<what is yours>`."""
    line = re.sub(r"<[\w ]+>", "x", line).replace("--retry STEP", "--retry download_images")
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # text with an apostrophe
        return {}, []
    settings = {}
    while words and (setting := SETTING.fullmatch(words[0])):
        settings[setting[1]] = setting[2]
        del words[0]
    if not alone and words[:1] == ["fondant-spec"] and "execute" not in words:
        words.append("--help")  # which needs no arguments
    return settings, words


COMMANDS = [
    pytest.param(settings, words, id=f"{page.relative_to(ROOT)}: {line}")
    for page in PAGES
    for line, alone in lines_of(page)
    for settings, words in [command_of(line, alone=alone)]
    if len(words) > 1 and words[0] in PROGRAMS
]


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand where the documents do; a pipeline that is launched sets signal handlers."""
    monkeypatch.chdir(ROOT)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_there_are_commands():
    """The commands are found: so many, of each program, also after a setting."""
    found = [param.values for param in COMMANDS]
    assert {words[0] for _, words in found} == set(PROGRAMS)
    assert any(settings for settings, _ in found)
    assert len(found) > 40


@pytest.mark.parametrize(("settings", "words"), COMMANDS)
def test_a_command_is_taken(settings, words, monkeypatch, tmp_path):
    """The program that a document names is there, and takes these words and settings."""
    assert_effective(settings)
    index = {} if "INDEX" in settings else {"INDEX_URL": CONFIGS.INDEX_URL}
    names = {"DATASET_NAME": CONFIGS.DATASET_NAME} | index | settings
    if "demo.run" in words:  # which has seeds and an index of its own
        names = settings
        stand_after_the_demo(tmp_path, monkeypatch)
    elif names.get("INDEX", "").isidentifier():  # a folder that the page made before
        (tmp_path / names["INDEX"]).mkdir()
        names = names | {"INDEX": str(tmp_path / names["INDEX"])}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    check = {
        "fondant-spec": check_fondant_spec,
        "python": check_python,
        "bash": check_script,
        "make": check_make,
        "export": check_export,
    }
    check[words[0]](words[1:])


def stand_after_the_demo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go where a reader is after `make demo`, as far as a plan looks at it."""
    for made in ("seeds", "index"):
        (folder / "artifacts" / "demo" / made).mkdir(parents=True)
    (folder / "demo").symlink_to(ROOT / "demo")
    monkeypatch.chdir(folder)


def check_fondant_spec(words: list[str]) -> None:
    """Parse words as `fondant-spec` does."""
    if "--help" in words:
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        assert ended.value.code == 0
        return
    options, rest = cli._parser().parse_known_args(words)
    if words[0] == "execute":
        known = {*EXECUTOR_ARGUMENTS, *ComponentSpec.from_file(options.component).arguments}
        assert set(split_argv(rest)) <= known
    else:
        assert rest == []


def check_python(words: list[str]) -> None:
    """Plan a pipeline, without running it; of another program, look for the options in it."""
    name, *rest = words if words[0] != "-m" else [f"{words[1].replace('.', '/')}.py", *words[2:]]
    if name in PIPELINES and "--help" not in rest:
        assert PIPELINES[name]([*rest, "--dry-run"]) == 0
    elif name != "main.py":  # of whichever component
        text = (ROOT / name).read_text(encoding="utf-8")
        options = {word for word in rest if word.startswith("--")} - {"--help"}
        assert [option for option in options if f'"{option}"' not in text] == []


def check_script(words: list[str]) -> None:
    """Have `build_images.sh` say what it would do."""
    environment = os.environ | {"CONTAINER_ENGINE": "docker"}
    done = subprocess.run(
        ["/bin/bash", *words, "--dry-run"], check=False, capture_output=True, env=environment
    )
    assert (words[0], done.returncode) == ("build_images.sh", 0), done.stderr


def check_make(words: list[str]) -> None:
    """Look for the targets in the Makefile."""
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    assert set(words) - {"&&", "make"} <= targets


def check_export(words: list[str]) -> None:
    """See that the variables are settings."""
    assert_effective(dict(SETTING.fullmatch(word).groups() for word in words))


def assert_effective(settings: dict[str, str]) -> None:
    """Each variable changes what the pipeline or the cluster is told."""

    def told(environment: dict[str, str]) -> object:
        configs = PipelineConfigs.from_environment(environment)
        return configs, Cluster.from_settings(asdict(configs))

    for name, value in settings.items():
        assert told({name: value}) != told({}), name


def test_a_command_that_is_not_one_is_found(capsys):
    """The checks above fail for what a program does not take."""
    with pytest.raises(AssertionError):
        check_fondant_spec(["index", "biuld", "--help"])
    with pytest.raises(SystemExit):
        check_python(["pipeline.py", "--sett", "a"])
    with pytest.raises(AssertionError):
        check_make(["coffee"])
    assert "biuld" in capsys.readouterr().err
