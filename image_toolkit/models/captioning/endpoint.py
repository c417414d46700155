"""Captions from an OpenAI-compatible server: vLLM, Ollama, llama.cpp, or a hosted one."""

import base64
import io
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import requests
from PIL import Image

from fondant_spec.errors import InputDataError, InvalidArgumentError
from image_toolkit.models.captioning.caption_families import CHAT_PROMPT
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.runtime.feed import UnusableError
from image_toolkit.models.runtime.preparation import ProcessorPreparation

KEY_VARIABLE: Final = "OPENAI_API_KEY"

_LONGEST_EDGE: Final = 1024
_QUALITY: Final = 90
_CONNECTIONS: Final = 8
_TIMEOUT: Final = (10, 300)
_PAUSES: Final = (0.5, 1.0, 2.0)
_LONGEST_PAUSE: Final = 30.0
_TRY_LATER: Final = (408, 429, 500, 502, 503, 504)
_MAY_PASS: Final = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)
_HIGHEST_PENALTY: Final = 2.0
_USERS_MATTER: Final = {
    400: "refuses the request",
    401: f"wants a key: set {KEY_VARIABLE}",
    403: f"forbids it to this key: check {KEY_VARIABLE}",
    404: "does not know the model, or the path: the URL ends in /v1 as a rule",
}
# What has no counterpart in a request, and the values with which none is needed. No server has the
# n-gram rule, which is on by default.
_CANNOT: Final[dict[str, tuple[int, ...]]] = {
    "num_beams": (1,),
    "min_new_tokens": (0,),
    "no_repeat_ngram_size": (0, Generation.no_repeat_ngram_size),
}


class EndpointCaptioner:
    """Asks a server for captions, several images at a time."""

    revision = ""
    precision = ""

    def __init__(self, url: str, model: str, prompt: str | None) -> None:
        self.name = model
        self._url = url.rstrip("/") + "/chat/completions"
        self._prompt = prompt or CHAT_PROMPT
        self._pool = ThreadPoolExecutor(_CONNECTIONS, "endpoint")
        self._session = requests.Session()
        key = os.environ.get(KEY_VARIABLE)
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"
        self.prepare: Callable[[bytes], Any] = ProcessorPreparation(_LONGEST_EDGE)

    def captions(
        self,
        items: Sequence[Image.Image],
        rows: Sequence[str],
        generation: Generation,
    ) -> Sequence[list[str] | UnusableError]:
        """Return the candidates for each image; an image that the server fails on is an error.

        Raises:
            InputDataError: the server cannot be reached, or does not accept the model or the key.
        """
        bodies = [
            self._body(item, generation, seed)
            for item, seed in zip(items, generation.seeds(rows), strict=True)
        ]
        ask = self._ask if generation.attempt == 1 else self._ask_again
        return list(self._pool.map(ask, bodies))

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._session.close()

    def _body(self, image: Image.Image, generation: Generation, seed: int) -> dict[str, Any]:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=_QUALITY)
        url = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
        content = [
            {"type": "text", "text": self._prompt},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        return {
            "model": self.name,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": generation.max_new_tokens,
            "n": generation.candidates,
            "seed": seed,
            **_choosing(generation),
        }

    def _ask(self, body: dict[str, Any]) -> list[str] | UnusableError:
        answer = self._post(body)
        for pause in _PAUSES:
            if not _is_passing(answer):
                break
            time.sleep(_wait(answer, pause))
            answer = self._post(body)
        return self._texts(answer) if isinstance(answer, requests.Response) else self._lost(answer)

    def _ask_again(self, body: dict[str, Any]) -> list[str] | UnusableError:
        """Ask for a second caption: as there is a first one, no failure ends the step."""
        try:
            return self._ask(body)
        except InputDataError as error:
            return UnusableError("endpoint_error", str(error))

    def _post(self, body: dict[str, Any]) -> requests.Response | requests.RequestException:
        """Return the response, or the reason why none came, if it may come another time."""
        try:
            return self._session.post(self._url, json=body, timeout=_TIMEOUT, allow_redirects=False)
        except _MAY_PASS as error:
            return error
        except requests.RequestException as error:
            raise self._unreachable(error) from error

    def _lost(self, error: requests.RequestException) -> UnusableError:
        """Return what a row is told whose answer never came.

        Raises:
            InputDataError: there is no connection, for any row.
        """
        if isinstance(error, requests.ConnectionError):
            raise self._unreachable(error) from error
        return UnusableError("endpoint_error", f"{type(error).__name__}: no answer")

    def _unreachable(self, error: requests.RequestException) -> InputDataError:
        return InputDataError(
            f"endpoint {self._url}: {type(error).__name__}; is the server running there?"
        )

    def _texts(self, response: requests.Response) -> list[str] | UnusableError:
        reason = _USERS_MATTER.get(response.status_code)
        if reason is not None:
            msg = f"endpoint {self._url}: {response.status_code}, it {reason}. {_start(response)}"
            raise InputDataError(msg)
        if response.status_code != requests.codes.ok:
            return UnusableError("endpoint_error", f"{response.status_code}: {_start(response)}")
        try:
            choices = response.json()["choices"]
            return [str(choice["message"]["content"] or "") for choice in choices]
        except (ValueError, KeyError, TypeError):
            return UnusableError("endpoint_error", f"not a chat completion: {_start(response)}")


def refuse_unsupported(generation: Generation) -> None:
    """Check that an endpoint can do what is asked for.

    Raises:
        InvalidArgumentError: it cannot.
    """
    if generation.candidates > 1 and not generation.sample:
        msg = f"candidates: {generation.candidates} of them need sample, with an endpoint."
        raise InvalidArgumentError(msg)
    wanted = [name for name, plain in _CANNOT.items() if getattr(generation, name) not in plain]
    if wanted:
        rather = " and ".join(f"{name} to {_CANNOT[name][0]}" for name in wanted)
        names = ", ".join(wanted)
        msg = f"{names}: an endpoint has no such setting; set {rather}, also with a preset."
        raise InvalidArgumentError(msg)


def _choosing(generation: Generation) -> dict[str, Any]:
    """Return the part of a request that says how words are chosen.

    The second attempt is drawn in any case: the likeliest words would be the same again.
    """
    drawn = generation.sample or generation.attempt > 1
    choosing = {
        "temperature": generation.temperature if drawn else 0.0,
        "top_p": generation.top_p if drawn else 1.0,
    }
    penalty = min(generation.repetition_penalty - 1, _HIGHEST_PENALTY)
    return {**choosing, "frequency_penalty": round(penalty, 6)} if penalty else choosing


def _is_passing(answer: requests.Response | requests.RequestException) -> bool:
    return isinstance(answer, requests.RequestException) or answer.status_code in _TRY_LATER


def _wait(answer: requests.Response | requests.RequestException, pause: float) -> float:
    """Return for how many seconds to wait: `pause`, if the server does not say otherwise."""
    told = answer.headers.get("Retry-After", "") if isinstance(answer, requests.Response) else ""
    return min(float(told) if told.isdigit() else pause, _LONGEST_PAUSE)


def _start(response: requests.Response) -> str:
    return " ".join(response.text.split())[:200]
