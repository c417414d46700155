"""Human-readable durations and sizes."""


def duration(seconds: float) -> str:
    """Format a duration in seconds: `38 s`, `12 min`, `3 h 5 min`."""
    if seconds < 100:  # noqa: PLR2004 - as clocks do
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004


def size(count: float) -> str:
    """Format a number of bytes: `12.3 MB`, `812 MB`, `3.4 GB`."""
    if count >= 1e9:  # noqa: PLR2004
        return f"{count / 1e9:,.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e8 else f"{count / 1e6:.1f} MB"  # noqa: PLR2004
