"""Records GPU utilisation and the load of a process and its children, ten times a second.

python -m benchmarks.gpu_watch PID FILE
"""

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil


def card() -> Any:
    """Return the library that queries the GPU, and its handle; None if there is none."""
    try:
        import pynvml  # noqa: PLC0415 - only where there is a card

        pynvml.nvmlInit()
        return pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
    except Exception:  # noqa: BLE001 - no card, or no library for it
        return None


def processor_seconds(watched: psutil.Process) -> float:
    """Return the CPU seconds of a process and its children."""
    total = 0.0
    for process in [watched, *watched.children(recursive=True)]:
        with suppress(psutil.Error):
            total += sum(process.cpu_times()[:2])
    return total


def main() -> None:
    """Record until the process has ended."""
    watched, path, found = psutil.Process(int(sys.argv[1])), Path(sys.argv[2]), card()
    with path.open("a") as file, suppress(psutil.Error):
        while watched.is_running():
            row = {"time": time.time(), "cpu": processor_seconds(watched)}
            if found is not None:
                library, handle = found
                row["busy"] = library.nvmlDeviceGetUtilizationRates(handle).gpu
                row["card_mb"] = library.nvmlDeviceGetMemoryInfo(handle).used // 2**20
            file.write(json.dumps(row) + "\n")
            file.flush()
            time.sleep(0.1)


if __name__ == "__main__":
    main()
