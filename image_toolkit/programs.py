"""Start this package's own programs, which work for the process that starts them.

They are separate programs rather than forks, since the parent may have threads and a GPU, may be a
daemonic worker that must not have `multiprocessing` children, and may have a main module that must
not run twice.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[1]
_ONE_THREAD: Final = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")


def start_program(module: str, file: int, **environment: str) -> "subprocess.Popen[bytes]":
    """Start a module as a single-threaded program, and pass it the number of an open file."""
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), **_ONE_THREAD, **environment}
    return subprocess.Popen(  # noqa: S603 - this program, without a shell
        [sys.executable, "-P", "-m", module, str(file)],
        pass_fds=[file],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **own},
    )
