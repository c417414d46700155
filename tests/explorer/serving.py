"""The explorer as a user starts it: a program that prints an address."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from fondant_spec.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Served:
    """A server: the address that it printed, and its process."""

    address: str
    process: "subprocess.Popen[str]"

    @property
    def root(self) -> str:
        """The address without path and token."""
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def token(self) -> str:
        """The token in the address."""
        return parse_qs(urlsplit(self.address).query)["token"][0]

    def kill(self) -> None:
        """End it as a machine does that runs out of memory."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(*words: object) -> Iterator[Served]:
    """Run `fondant-spec explore` with some words for as long as the context lasts."""
    command = [sys.executable, "-c", PROGRAM, "explore", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        line = process.stdout.readline().strip()
        assert line.startswith("http://"), process.communicate()[1]
        yield Served(line, process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
