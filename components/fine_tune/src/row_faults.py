"""The error of a row that cannot be trained on."""


class RowFaultError(Exception):
    """A row that cannot be trained on; `reason` is a short code for the reject table.

    Reasons: `no_caption`, `unknown_split`, `bad_repeats`.
    """

    def __init__(self, *, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
