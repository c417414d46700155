"""The entry point of a component's program: `execute(MyComponent)` at the end of its `main.py`."""

import gc

from fondant_spec.lifeline import end_with_runner
from fondant_spec.worker.run_step import execute

__all__ = ["execute"]

# Called here, and not after the component's own imports: those may take long.
end_with_runner()
# torch and transformers create a million long-lived objects. Python scans them for cycles after
# every 700 new ones, which takes an eighth of their import time.
gc.set_threshold(10_000)
