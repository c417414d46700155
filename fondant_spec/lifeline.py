"""How a process ends with the one that started it, however that one ends: also by SIGKILL.

A child watches what its parent holds open, and the kernel closes when the parent is gone. That
holds on every system, through the client of a container engine, and for whatever the child itself
has started: a parent-death signal (`prctl`) does none of the three.
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
    """Have this process and all that it starts end when its runner does; without one, do nothing.

    A runner that is gone already ends it at once. Who reads standard input from now on finds it
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
            pass  # a runner says nothing: it only is there
        _end()

    Thread(target=watch, name="lifeline", daemon=True).start()


def end_with_parent() -> None:
    """Have this process, which `multiprocessing` started, end when its parent does."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()  # a parent that is killed ends nothing by itself
            os._exit(1)

    Thread(target=watch, name="lifeline", daemon=True).start()


def _end() -> None:
    if os.getpgrp() == os.getpid():  # as runners start it: whoever else is in the group is its own
        os.killpg(0, signal.SIGKILL)
    os._exit(1)  # the first process of a container cannot be killed from within
