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

from fondant_spec.errors import InputDataError
from fondant_spec.toolkit.models.captioners import CHAT_PROMPT
from fondant_spec.toolkit.models.feed import UnusableError
from fondant_spec.toolkit.models.generation import Generation
from fondant_spec.toolkit.models.preparation import ProcessorPreparation

KEY_VARIABLE: Final = "OPENAI_API_KEY"

_LONGEST_EDGE: Final = 1024
_QUALITY: Final = 90
_CONNECTIONS: Final = 8
_TIMEOUT: Final = (10, 300)
_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_TRY_LATER: Final = (408, 429, 500, 502, 503, 504)
_USERS_MATTER: Final = {
    400: "refuses the request",
    401: f"wants a key: set {KEY_VARIABLE}",
    403: f"forbids it to this key: check {KEY_VARIABLE}",
    404: "does not know the model, or the path: the URL ends in /v1 as a rule",
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
        return list(self._pool.map(self._ask, bodies))

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
            "temperature": generation.temperature if generation.sample else 0.0,
            "top_p": generation.top_p if generation.sample else 1.0,
            "n": generation.candidates,
            "seed": seed,
        }

    def _ask(self, body: dict[str, Any]) -> list[str] | UnusableError:
        pause = _FIRST_PAUSE
        for attempt in range(1, _ATTEMPTS + 1):
            response = self._post(body)
            if response.status_code not in _TRY_LATER or attempt == _ATTEMPTS:
                return self._texts(response)
            told = response.headers.get("Retry-After", "")
            time.sleep(min(float(told) if told.isdigit() else pause, _LONGEST_PAUSE))
            pause *= 2
        raise AssertionError  # the last attempt has returned

    def _post(self, body: dict[str, Any]) -> requests.Response:
        try:
            return self._session.post(self._url, json=body, timeout=_TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            msg = f"endpoint {self._url}: {type(error).__name__}; is the server running there?"
            raise InputDataError(msg) from error

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


def _start(response: requests.Response) -> str:
    return " ".join(response.text.split())[:200]
