"""Why a URL was not fetched."""


class FetchError(Exception):
    """A URL of `host` that was not fetched; `reason` is a short code for the reject table.

    `passing`: the same URL may work later. `retry_after`: seconds that the host asked to wait.
    `host_failed`: counts against the host, not just the URL.
    """

    def __init__(
        self,
        *,
        reason: str,
        message: str = "",
        host: str = "",
        passing: bool = False,
        retry_after: float | None = None,
        host_failed: bool = False,
    ) -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.message = message
        self.host = host
        self.passing = passing
        self.retry_after = retry_after
        self.host_failed = host_failed
