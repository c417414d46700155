"""Every error a caller can fix, one class each.

A message says where, what, and what to do. Only the command line turns these into text and an exit
code; anything that is not a `FondantError` is a defect and keeps its traceback.
"""

from difflib import get_close_matches

from fondant_spec.shown_text import redact


class FondantError(Exception):
    """Something that the user of this package can put right; no secret is in its message.

    `temporary` says whether it may pass by itself; None leaves that to its cause.
    """

    def __init__(self, message: str = "", *, temporary: bool | None = None) -> None:
        super().__init__(redact(message))
        self.temporary = temporary


class InvalidComponentSpecError(FondantError):
    """A `fondant_component.yaml` breaks the format."""


class InvalidComponentError(FondantError):
    """A component's code is not valid Python, or imports what is not there."""


class InvalidTypeError(FondantError):
    """A field type that cannot be expressed in Arrow, or has no name in a spec."""


class InvalidArgumentError(FondantError):
    """A component argument is missing, unknown, or of the wrong type."""


class InvalidManifestError(FondantError):
    """A manifest cannot be read, or says something impossible."""


class InvalidPipelineError(FondantError):
    """The steps of a pipeline do not fit together."""


class InvalidDatasetError(FondantError):
    """Files on disk are not what their manifest says."""


class CardinalityError(FondantError):
    """A component returned rows that its declared cardinality forbids."""


class RejectThresholdError(FondantError):
    """A step gave up on more rows than allowed."""


class StorageError(FondantError):
    """The base path cannot be read or written."""


class LeaseLostError(FondantError):
    """Another run writes what this one was writing."""


class MissingBucketError(StorageError):
    """The base path is in a bucket that is not there."""


class StepFailedError(FondantError):
    """A step ended with an error; the message holds the end of its log, or says where it is."""


class RunCancelledError(FondantError):
    """Somebody ended a run on the host where it ran."""


class InputDataError(FondantError):
    """A dataset, model, index or other input named by an argument cannot be used."""


class InvalidConfigError(FondantError):
    """A setting of the pipeline, from a file or the environment, is wrong."""


class HostError(FondantError):
    """A Kubeflow Pipelines host cannot be used."""


class HubError(FondantError):
    """The Hugging Face hub refuses something, or cannot be reached."""


class MissingDependencyError(FondantError):
    """An optional package is needed for what was asked."""


def did_you_mean(word: str, known: list[str]) -> str:
    """Return the end of a sentence: a hint at the closest known word, or just a full stop."""
    close = get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else "."
