"""How a command line ends: its exit code, and one error message."""

import os
import subprocess
import sys

import pytest

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.exit_codes import exit_code

DEFECT = "This is a defect; its traceback is in "
PASSES = "That may pass by itself; run the same again later."


def ending(error: BaseException | None, **options: object) -> int:
    """Return the exit code of a command that ends with an error, or without one."""

    def command() -> None:
        if error is not None:
            raise error

    return exit_code(command, **options)


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (None, 0, ""),
        (InputDataError("no such file."), 1, "error: no such file.\n"),
        (InvalidArgumentError("no such argument."), 2, "error: no such argument.\n"),
        (KeyboardInterrupt(), 130, "error: stopped\n"),
        (ZeroDivisionError("by zero"), 1, f"error: ZeroDivisionError: by zero. {DEFECT}"),
        (KeyError(), 1, f"error: KeyError. {DEFECT}"),
        (BrokenPipeError("a socket"), 75, f"error: BrokenPipeError: a socket. {PASSES}\n"),
        (InputDataError("busy.", temporary=True), 75, "error: busy.\n"),
    ],
)
def test_ends(capsys, error, code, told):
    """Each kind of error has its code and its sentence; what nobody thought of has one, too."""
    assert ending(error, interrupted="stopped") == code
    error = capsys.readouterr().err
    assert error.startswith(told) if told.endswith(DEFECT) else error == told


def test_a_defect_is_kept(capsys, tmp_path, monkeypatch):
    """Its traceback is in a file, without secrets; where none can be had it is asked for."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ending(ZeroDivisionError("at https://me:secret@host/")) == 1
    (file,) = tmp_path.iterdir()
    assert capsys.readouterr().err.endswith(f" {DEFECT}{file}.\n")
    kept = file.read_text()
    assert kept.startswith("Traceback (most recent call last):\n")
    assert kept.endswith("ZeroDivisionError: at https://***@host/\n")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert ending(ZeroDivisionError()) == 1
    again = "This is a defect; run again with --debug for the traceback.\n"
    assert capsys.readouterr().err.endswith(again)


def test_codes_of_the_command():
    """What the command itself returns is the exit code."""
    assert exit_code(lambda: 3) == 3


def test_debug(capsys):
    """A defect is shown with its traceback where that is asked for; other errors are not."""
    assert ending(ZeroDivisionError("by zero"), debug=True) == 1
    error = capsys.readouterr().err
    assert error.startswith("Traceback (most recent call last):\n")
    assert error.endswith("ZeroDivisionError: by zero\n")
    assert ending(InputDataError("no such file."), debug=True) == 1
    assert capsys.readouterr().err == "error: no such file.\n"


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_goes_away(lines):
    """As with `| head`: nothing more is printed, and nothing is said of it, at the end neither."""
    program = (
        "import sys; from fondant_spec.exit_codes import exit_code; "
        f"sys.exit(exit_code(lambda: [print('line') for _ in range({lines})] and None))"
    )
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


STILL_READING = """
import atexit, sys, time
import pyarrow as pa, pyarrow.dataset as pads, pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from fondant_spec import cli

class SlowFile:
    closed, mode = False, "rb"

    def __init__(self, file):
        self._file = file

    def __getattr__(self, name):
        return getattr(self._file, name)

    def read(self, *size):
        time.sleep(0.1)
        return self._file.read(*size)

class SlowStore(LocalFileSystem):
    def _open(self, path, *mode, **options):
        return SlowFile(super()._open(path, *mode, **options))

paths = [f"FOLDER/{number}" for number in range(6)]
for path in paths:
    pq.write_table(pa.table({"id": [1]}), path)

def show(options):
    rows = pads.dataset(paths, filesystem=SlowStore(), format="parquet")
    print(next(rows.to_batches()).num_rows, end="")
    return 7

cli._show = show
atexit.register(print, " at the exit", end="")
sys.argv[1:] = ["show", "x"]
sys.exit(cli.main())
"""


def test_threads_that_still_read_are_no_harm(tmp_path):
    """A command line ends with its own code while pyarrow's threads read through Python."""
    program = [sys.executable, "-c", STILL_READING.replace("FOLDER", str(tmp_path))]
    done = subprocess.run(program, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (7, "1 at the exit", "")
