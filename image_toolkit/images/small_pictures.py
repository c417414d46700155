"""Pictures to look at, or to send: how large they come to be, and how an address holds one."""

from base64 import b64encode


def fitted_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Return the size at which the longer side is `side`, and nothing is larger than it was."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def data_address(jpeg: bytes) -> str:
    """Return a JPEG as a `data:` address, which holds it."""
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
