"""How a component becomes a program: `execute(MyComponent)` at the end of its `main.py`."""

from fondant_spec.worker.run_step import execute

__all__ = ["execute"]
