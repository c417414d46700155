"""Ending a process together with its parent, however the parent ends, even by SIGKILL.

A child watches a pipe that its parent holds open and that the kernel closes when the parent ends.
That works on every system, through the client of a container engine, and for the child's own
children: a parent-death signal (`prctl`) does none of the three.
"""

import os
import signal
from multiprocessing import parent_process
from threading import Thread
from typing import Final

LIFELINE: Final = "FONDANT_LIFELINE"
"""The environment variable that says that a runner holds the other end of standard input."""

_STDIN: Final = 0


def end_with_runner() -> None:
    """End this process and all its children when its runner ends; without a runner, do nothing.

    If the runner has already ended, the process ends at once. From now on, standard input reads as
    empty.
    """
    if os.environ.pop(LIFELINE, None) is None:
        return
    line = os.dup(_STDIN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STDIN)
    os.close(nothing)

    def watch() -> None:
        while os.read(line, 1):
            pass  # a runner sends nothing: it only holds the pipe open
        _end()

    Thread(target=watch, name="lifeline", daemon=True).start()


def end_with_parent() -> None:
    """End this process, which `multiprocessing` started, when its parent ends."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()  # a parent that is killed does not end its children
            os._exit(1)

    Thread(target=watch, name="lifeline", daemon=True).start()


def _end() -> None:
    if os.getpgrp() == os.getpid():  # as runners start it: the group holds only its children
        os.killpg(0, signal.SIGKILL)
    os._exit(1)  # PID 1 of a container cannot be killed from within
