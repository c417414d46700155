"""All errors that a caller can fix, one class each.

A message says where, what, and what to do. Only the command line turns errors into text and an exit
code; any exception that is not a `FondantError` is a bug and keeps its traceback.
"""

from difflib import get_close_matches

from fondant_spec.shown_text import redact


class FondantError(Exception):
    """Base class of errors that the user of this package can fix; messages contain no secrets.

    `temporary` says whether the failure may pass without a fix; None leaves that to its cause.
    """

    def __init__(self, message: str = "", *, temporary: bool | None = None) -> None:
        super().__init__(redact(message))
        self.temporary = temporary


class InvalidComponentSpecError(FondantError):
    """A `fondant_component.yaml` violates the format."""


class InvalidComponentError(FondantError):
    """A component's code is not valid Python, or imports a module that does not exist."""


class InvalidTypeError(FondantError):
    """A field type has no Arrow equivalent, or no name in a spec."""


class InvalidArgumentError(FondantError):
    """A component argument is missing, unknown, or of the wrong type."""


class InvalidManifestError(FondantError):
    """A manifest cannot be read, or contradicts itself."""


class InvalidPipelineError(FondantError):
    """The steps of a pipeline do not fit together."""


class InvalidDatasetError(FondantError):
    """Files on disk do not match their manifest."""


class CardinalityError(FondantError):
    """A component returned rows that its declared cardinality forbids."""


class RejectThresholdError(FondantError):
    """A step rejected more rows than allowed."""


class StorageError(FondantError):
    """The base path cannot be read or written."""


class LeaseLostError(FondantError):
    """Another run has taken over what this one was writing."""


class MissingBucketError(StorageError):
    """The bucket of the base path does not exist."""


class StepFailedError(FondantError):
    """A step failed; the message holds the end of its log, or says where the log is."""


class RunCancelledError(FondantError):
    """A run was cancelled on the host that ran it."""


class InputDataError(FondantError):
    """A dataset, model, index or other input named by an argument cannot be used."""


class InvalidConfigError(FondantError):
    """A setting of the pipeline, from a file or the environment, is wrong."""


class HostError(FondantError):
    """A Kubeflow Pipelines host cannot be used."""


class HubError(FondantError):
    """The Hugging Face hub refused a request, or cannot be reached."""


class MissingDependencyError(FondantError):
    """An optional package that the request needs is not installed."""


def did_you_mean(word: str, known: list[str]) -> str:
    """Return the end of a sentence: a hint at the closest known word, or just a full stop."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else "."
