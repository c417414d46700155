"""The error for rows that cannot be trained on."""


class BadRowError(Exception):
    """A row that cannot be trained on; `reason` is a short code for the reject table.

    Reasons: `no_image`, `no_caption`, `bad_tags`, `bad_mask`, `bad_repeats`, `needs_conversion`,
    `in_training_set`, `unknown_split`.
    """

    def __init__(self, *, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
