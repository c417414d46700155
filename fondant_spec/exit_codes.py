"""How every command line of this package ends: an exit code, and one sentence for an error.

0 is success. 2 is wrong usage: a word of the command line that spells no value, or names a step,
row or reason that is not there. 75 is an error that may pass by itself: what was asked is away, and
the same command may succeed later (EX_TEMPFAIL of sysexits.h). 1 is any other error: in a pipeline
file, a setting, the data, or a defect. 130 is interrupted, here or where the run is.
"""

import atexit
import os
import select
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from fondant_spec.errors import FondantError, InvalidArgumentError, RunCancelledError
from fondant_spec.shown_text import shown
from fondant_spec.temporary import is_temporary

EXIT_ERROR: Final = 1
EXIT_USAGE: Final = 2
EXIT_TEMPORARY: Final = 75
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE: Final = 141
"""What a shell reports where the reader of a program went away: `fondant-spec show x | head`."""

_STDOUT: Final = 1


def exit_code(
    command: Callable[[], int | None],
    *,
    interrupted: str = "interrupted",
    debug: bool = False,
    hidden: Path | None = None,
) -> int:
    """Run the command of a command line, say on stderr what went wrong, and return the exit code.

    Args:
        command: returns an exit code of its own, or None for success.
        interrupted: the sentence for Ctrl-C, where what was interrupted says nothing of its own.
        debug: show the traceback of a defect, which is any error but a `FondantError`, instead of
            naming the file that it is kept in.
        hidden: leave out of it what lies in this folder, if anything else is left.
    """
    try:
        code = command() or 0
        sys.stdout.flush()
    except InvalidArgumentError as error:
        code, sentence = EXIT_USAGE, str(error)
    except RunCancelledError as error:
        code, sentence = EXIT_INTERRUPTED, str(error)
    except FondantError as error:
        code, sentence = _error_code(error), str(error)
    except KeyboardInterrupt as interrupt:
        code, sentence = EXIT_INTERRUPTED, str(interrupt) or interrupted
    except Exception as error:  # noqa: BLE001 - the net for what nobody thought of
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return EXIT_PIPE
        code = _error_code(error)
        if code == EXIT_ERROR and debug:
            print(_traceback(error, hidden), end="", file=sys.stderr)
            return code
        sentence = _told(error, code)
    else:
        return code
    print(shown(f"error: {sentence}"), file=sys.stderr)
    return code


def _error_code(error: Exception) -> int:
    return EXIT_TEMPORARY if is_temporary(error) else EXIT_ERROR


def end_program(code: int) -> NoReturn:
    """End this process with an exit code: the last call of a command line.

    What is registered for the exit is done, as `multiprocessing` does it in its processes. Python
    is not taken apart: pyarrow's threads read a store's files through it, and one that is still at
    it then aborts the process, whose work is done, with 134.
    """
    with suppress(Exception):  # of those that wait for Ctrl-C, too
        threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _traceback(error: Exception, hidden: Path | None = None) -> str:
    trace = traceback.TracebackException.from_exception(error)
    chain: traceback.TracebackException | None = trace
    while chain is not None and hidden is not None:
        left = [one for one in chain.stack if not Path(one.filename).is_relative_to(hidden)]
        chain.stack = traceback.StackSummary.from_list(left or list(chain.stack))
        chain = chain.__cause__ or chain.__context__
    return shown("".join(trace.format()))


def _told(error: Exception, code: int) -> str:
    sentence = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if code == EXIT_TEMPORARY:
        advice = "That may pass by itself; run the same again later."
    elif file := _log(error):
        advice = f"This is a defect; its traceback is in {file}."
    else:
        advice = "This is a defect; run again with --debug for the traceback."
    return f"{sentence.rstrip('.')}. {advice}"


def _log(error: Exception) -> str | None:
    """Keep the traceback of a defect, which may not come again; return in which file, if any."""
    with (
        suppress(OSError),
        tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="fondant-spec-", suffix=".log", delete=False
        ) as file,
    ):
        file.write(_traceback(error))
        return file.name
    return None


def _nobody_reads() -> bool:
    """Return whether the reader of our output is gone, and if so write no more to it."""
    watch = select.poll()
    watch.register(_STDOUT, 0)
    gone = bool(watch.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
    return gone
