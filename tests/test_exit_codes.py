"""How a command line ends: its exit code, and one sentence."""

import os
import subprocess
import sys

import pytest

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.exit_codes import exit_code

DEFECT = "This is a defect; run again with --debug for the traceback."
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
        (ZeroDivisionError("by zero"), 1, f"error: ZeroDivisionError: by zero. {DEFECT}\n"),
        (KeyError(), 1, f"error: KeyError. {DEFECT}\n"),
        (BrokenPipeError("a socket"), 75, f"error: BrokenPipeError: a socket. {PASSES}\n"),
        (InputDataError("busy.", temporary=True), 75, "error: busy.\n"),
    ],
)
def test_ends(capsys, error, code, told):
    """Each kind of error has its code and its sentence; what nobody thought of has one, too."""
    assert ending(error, interrupted="stopped") == code
    assert capsys.readouterr().err == told


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
