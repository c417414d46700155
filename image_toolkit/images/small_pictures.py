"""Small pictures to show or to send: their size, and how a URL embeds one."""

from base64 import b64encode


def fitted_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Return the size with `side` as the longer side, never larger than the original."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def data_address(jpeg: bytes) -> str:
    """Return a `data:` URL that contains a JPEG."""
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
