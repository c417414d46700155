"""Load a model from its files: no weights made up, and a one-line error if it fails."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
import transformers
from safetensors import SafetensorError

from fondant_spec.errors import InputDataError
from image_toolkit.models.runtime.hub import ModelFiles
from image_toolkit.models.runtime.torch_setup import prepare_torch

_LONGEST_REASON: Final = 300
_NAMED: Final = 3
_DAMAGE: Final = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, ImportError),
    *(RuntimeError, AssertionError),
)
"""What libraries raise for model files with unexpected content."""

_DAMAGED: Final = (
    "a file of it cannot be read. It is damaged, cut short, or a Git LFS pointer to the file: "
    "download it again. ({error})"
)
_NO_TOKENIZER: Final = (
    "its tokenizer cannot be made. The files of that (`tokenizer.json`, or a vocabulary) are "
    "missing or another model's, and to be downloaded again, or a package is missing that reads "
    "them, such as sentencepiece. ({error})"
)
_REASONS: Final = {  # a part of transformers' message, and what to say instead
    "trust_remote_code": "it needs code that comes with it, and code from a repository is not run. "
    "Use its conversion for transformers, if there is one (for Florence-2 they are those of "
    "florence-community), or another model.",
    "kind of AutoModel": "it is of no kind that this step can use: choose another one. ({error})",
    "AutoTokenizer": _NO_TOKENIZER,
    "backend tokenizer": _NO_TOKENIZER,
    "Tokenizer has no attribute": _NO_TOKENIZER,
}


def load_model(
    auto_class: str,
    files: ModelFiles,
    dtype: torch.dtype,
    unused: re.Pattern[str],
) -> Any:
    """Return a model with all its weights as they were stored.

    `auto_class` is the name of a class of `transformers`, such as `AutoModel`. `unused` matches the
    names of weights that may be missing, since they are not used.

    Raises:
        InputDataError: the model cannot be loaded, or weights are missing: `transformers` would
            initialise them at random.
    """
    with loading(files.name):
        model, report = getattr(transformers, auto_class).from_pretrained(
            files.folder,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are in the report
        )
    check_whole(files.name, files.kind, model, report, unused)
    return model


def check_whole(
    name: str,
    part: str,
    model: Any,
    report: Mapping[str, Any],
    unused: re.Pattern[str] | None = None,
) -> None:
    """Refuse a model with weights that were initialised at random.

    Args:
        name: of the model, as the user knows it.
        part: its kind, or which part of a larger model it is.
        model: as it was loaded.
        report: the library's report on loading it.
        unused: matches the names of weights that may be missing.

    Raises:
        InputDataError: weights are missing or of another shape, and are not unused.
    """
    made_up = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    # Buffers, such as position numbers, are computed, not random.
    weights = {key for key, _ in model.named_parameters(remove_duplicate=False)}
    lost = sorted(key for key in made_up & weights if unused is None or not unused.search(key))
    if lost:
        msg = (
            f"Model {name!r} ({part}): weights are missing, or of another shape than its "
            f"config.json says: {_listed(lost)}. It is no model for this step, or its download "
            f"is damaged: choose another model, or download it again."
        )
        raise InputDataError(msg)


def load_tokenizer(files: ModelFiles, config: Any) -> Any:
    """Return a model's tokenizer; `config` is the model's configuration.

    Raises:
        InputDataError: it cannot be loaded, or is not the model's.
    """
    with loading(files.name):
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            files.folder, trust_remote_code=False
        )
    check_tokenizer(files, tokenizer, config)
    return tokenizer


def check_tokenizer(files: ModelFiles, tokenizer: Any, config: Any) -> None:
    """Refuse a tokenizer with less than half of the model's tokens.

    If files are missing, `transformers` silently makes one with a few tokens. A model's vocabulary
    may be larger than the tokenizer's, but only by a few percent.

    Raises:
        InputDataError: it is such a tokenizer.
    """
    known, wanted = len(tokenizer), getattr(config.get_text_config(), "vocab_size", None) or 0
    if 2 * known < wanted:
        reason = _NO_TOKENIZER.format(error=f"{known} tokens, where the model has {wanted}")
        msg = f"Model {files.name!r} cannot be loaded: {reason}"
        raise InputDataError(msg)


@contextmanager
def loading(model_id: str) -> Iterator[None]:
    """Turn whatever fails while a model is loaded from its files into a one-line error."""
    prepare_torch()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    except InputDataError:
        raise
    except (SafetensorError, json.JSONDecodeError) as error:
        raise _told(model_id, _DAMAGED, error) from error
    except _DAMAGE as error:
        found = (reason for part, reason in _REASONS.items() if part in str(error))
        raise _told(model_id, next(found, "{error}"), error) from error


def _told(model_id: str, reason: str, error: Exception) -> InputDataError:
    own = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
    return InputDataError(f"Model {model_id!r} cannot be loaded: {reason.format(error=own)}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
