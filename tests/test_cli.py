"""The command line `fondant-spec`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fondant_spec import __version__
from fondant_spec.cli import main
from tests.small import COMPONENTS, dataset

PIPELINE = Path(__file__).parent / "pipelines" / "small.py"
PROGRAM = "import sys; from fondant_spec.cli import main; sys.exit(main(sys.argv[1:]))"


def test_validate(tmp_path, capsys):
    """A sound dataset is told with its rows; a broken one ends with 1 and every fault."""
    made = dataset(tmp_path, number=[1, 2])
    assert main(["validate", made.folder]) == 0
    assert capsys.readouterr().out == f"{made.location}: 2 rows, all as the manifest says.\n"
    file = Path(made.data_location) / "part-00000.parquet"
    file.unlink()
    assert main(["validate", made.location]) == 1
    assert capsys.readouterr().err == f"error: {file}: the file is missing.\n"


def test_show(tmp_path, capsys):
    """A dataset is told with some of its ids, and a row with where it came from."""
    made = dataset(tmp_path, number=[1, 2])
    assert main(["show", made.folder]) == 0
    assert capsys.readouterr().out.endswith("ids       000000000000, 000000000001\n")
    assert main(["show", made.folder, "--id", "000000000001"]) == 0
    which, *told = capsys.readouterr().out.splitlines()
    assert which.startswith("step      pipeline/given (run ")
    assert told == ["given: 000000000001", "  number: 2"]
    assert main(["show", made.folder, "--id", "x"]) == 2
    assert "there is no row 'x'" in capsys.readouterr().err


def test_gc(tmp_path, capsys):
    """Garbage is listed first, and removed only when told to."""
    stray = tmp_path / "pipeline" / "numbers" / "0123456789abcdef"
    (stray / "checkpoints").mkdir(parents=True)
    words = ["gc", str(tmp_path), "pipeline"]
    assert main(words) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path} holds no runs of a pipeline 'pipeline'. Pipelines: none.\n"
    )
    (tmp_path / "pipeline" / "runs" / "run-1").mkdir(parents=True)
    assert main(words) == 0
    assert capsys.readouterr().out == f"{stray}\nwould remove 1 folders, 0.0 MB\n"
    assert main([*words, "--delete"]) == 0
    assert capsys.readouterr().out == f"{stray}\nremoved 1 folders, 0.0 MB\n"
    assert main(words) == 0
    assert capsys.readouterr().out == "nothing to remove\n"
    assert main([*words, "--keep-runs", "-1"]) == 2


def test_explain_of_no_file(tmp_path, capsys):
    """A pipeline file that is not there is one line, and wrong usage."""
    assert main(["explain", str(tmp_path / "x.py")]) == 2
    told = f"error: {tmp_path}/x.py: there is no such file; name that of a pipeline.\n"
    assert capsys.readouterr().err == told


def test_explain(tmp_path, capfd):
    """The plan of a pipeline file is told, with its own options."""
    assert main(["explain", str(PIPELINE), "--base-path", str(tmp_path)]) == 0
    assert "numbers: runs, because it has no earlier result here" in capfd.readouterr().out


def test_execute(tmp_path):
    """A component is run by its folder, with its arguments, and its exit code is told."""
    words = ["--base_path", str(tmp_path), "--rows", "3"]
    command = [sys.executable, "-c", PROGRAM, "execute", str(COMPONENTS / "numbers")]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=True)
    assert "INFO numbers: 3 rows at " in done.stderr
    words[-1] = "x"
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "error: numbers: argument 'rows' must be of type int in JSON, not 'x'.\n",
    )


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--rows", "3", "--help"]])
def test_help_on_a_component(words):
    """Whoever names a component asks for its arguments, not those of the command."""
    command = [sys.executable, "-c", PROGRAM, "execute", str(COMPONENTS / "numbers"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\narguments of the component:\n  --rows INT " in done.stdout
    assert "\narguments of the executor:\n  --base_path STR " in done.stdout


def test_help_on_execute(capsys):
    """Without a component there is only the command to help with."""
    with pytest.raises(SystemExit) as ended:
        main(["execute", "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: fondant-spec execute ")


@pytest.mark.parametrize("command", ["validate", "show"])
def test_no_dataset(tmp_path, capsys, command):
    """A folder that holds no dataset is an error with its path."""
    assert main([command, str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: holds no dataset; ")
    assert main([command, str(tmp_path / "nowhere")]) == 2
    told = f"error: {tmp_path}/nowhere: there is no such folder; "
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize(
    "words", [[], ["nonsense"], ["validate"], ["validate", "x", "--nonsense"], ["gc", "x"]]
)
def test_wrong_usage(words, capsys):
    """What the command line does not understand ends with 2 and its usage."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage: fondant-spec" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["x", "0", "1e6", "-3", ""])
def test_a_count_that_is_none(word, capsys):
    """It is named by its option, and what would be one."""
    with pytest.raises(SystemExit) as caught:
        main(["plan", f"--rows={word}"])
    assert caught.value.code == 2
    told = f"argument --rows: must be a whole number of at least 1, not {word!r}\n"
    assert capsys.readouterr().err.endswith(told)


@pytest.mark.parametrize("wanted", ["a dataset", "help on a component"])
def test_a_reader_that_goes_away(tmp_path, wanted):
    """As with `| head -1`: nothing more is printed, and nothing is said of it."""
    if wanted == "a dataset":
        command = [sys.executable, "-c", PROGRAM, "show", dataset(tmp_path, number=[1, 2]).folder]
    else:
        command = [sys.executable, str(COMPONENTS / "numbers" / "src" / "main.py"), "--help"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("first", [True, False])
def test_debug(tmp_path, capsys, first):
    """`--debug` may stand before a command or after it."""
    words = ["show", dataset(tmp_path, number=[1, 2]).folder]
    assert main(["--debug", *words] if first else [*words, "--debug"]) == 0
    assert "rows      2" in capsys.readouterr().out


def test_as_a_module(tmp_path):
    """`python -m fondant_spec.cli` is the same command line, and not nothing."""
    command = [sys.executable, "-m", "fondant_spec.cli", "runs", "--base-path", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.endswith("holds no runs.\n")) == (2, True)


def test_version(capsys):
    """The version is told."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, capsys.readouterr().out) == (0, f"{__version__}\n")
