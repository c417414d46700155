"""How a component becomes a program: `execute(MyComponent)` at the end of its `main.py`."""

import gc

from fondant_spec.lifeline import end_with_runner
from fondant_spec.worker.run_step import execute

__all__ = ["execute"]

# From now on, and not once all that a component imports is there: that may take long.
end_with_runner()
# torch and transformers make a million objects that stay. Python looks for cycles among them after
# every 700 new ones, which takes an eighth of their import.
gc.set_threshold(10_000)
