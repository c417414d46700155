"""How many cores this process may use, which in a container is not the machine's."""

from loky.backend.context import cpu_count

__all__ = ["cpu_count"]
