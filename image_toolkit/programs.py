"""Starting this package's own programs, which work for the process that starts them.

They are programs of their own, not forks: whatever starts them may have threads and a GPU, may be a
worker process that must have no children of the kind that `multiprocessing` makes, and may have a
main module that is better not run twice.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_ONE_THREAD: Final = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")


def start_program(module: str, file: int, **environment: str) -> "subprocess.Popen[bytes]":
    """Start a module as a program that has one thread, and an open file whose number it is told."""
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), **_ONE_THREAD, **environment}
    return subprocess.Popen(  # noqa: S603 - this program, without a shell
        [sys.executable, "-P", "-m", module, str(file)],
        pass_fds=[file],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **own},
    )
