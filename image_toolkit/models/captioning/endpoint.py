"""Captions from an OpenAI-compatible server: vLLM, Ollama, llama.cpp, or a hosted one."""

import os
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ChunkedEncodingError
from urllib3 import Retry
from urllib3.exceptions import MaxRetryError, ReadTimeoutError

from fondant_spec.errors import InputDataError, InvalidArgumentError
from fondant_spec.signing import signing
from image_toolkit.models.captioning.caption_families import CHAT_PROMPT
from image_toolkit.models.captioning.chat_answers import whole_texts
from image_toolkit.models.captioning.endpoint_images import EndpointImages
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.runtime.feed_rows import UnusableError

KEY_VARIABLE: Final = "OPENAI_API_KEY"

REQUESTS: Final = 32
MAX_PIXELS: Final = 1024 * 1024
_TIMEOUT: Final = (10, 300)
_REFUSALS: Final = 8
"""So many refusals, without a single caption, must be about the model or the settings."""

_TRIES: Final = 4
_ASK_AGAIN: Final = Retry(
    _TRIES - 1,
    allowed_methods=["POST"],
    status_forcelist=(408, 429, 500, 502, 503, 504),
    backoff_factor=1,
    backoff_max=30,
    retry_after_max=30,
    raise_on_status=False,
)
"""A busy server is retried when it says so, or else after 0, 2 and 4 seconds."""

_AWAY: Final = frozenset({429, 502, 503, 504})
_PROBE_TIMEOUT: Final = (10, 10)

_HIGHEST_PENALTY: Final = 2.0
_USERS_MATTER: Final = {
    401: f"wants a key: set {KEY_VARIABLE}",
    403: f"forbids it to this key: check {KEY_VARIABLE}",
    404: "does not know the model, or the path: the URL ends in /v1 as a rule",
}
# Settings without a counterpart in a request, and the values that need none. No server has the
# n-gram rule, which is on by default.
_CANNOT: Final[dict[str, tuple[int, ...]]] = {
    "num_beams": (1,),
    "min_new_tokens": (0,),
    "no_repeat_ngram_size": (0, Generation.no_repeat_ngram_size),
}


class EndpointCaptioner:
    """Requests captions from a server, one image per request, in as many threads as call it.

    `most_requests` is how many connections are kept open. If a server refuses an image (as safety
    filters do), its row is rejected; if it refuses the first images without having captioned any,
    the step fails.
    """

    revision = ""
    precision = ""
    batch_size = 0

    def __init__(
        self,
        url: str,
        model: str,
        prompt: str | None,
        *,
        most_requests: int = REQUESTS,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.name = model
        self._url = url.rstrip("/") + "/chat/completions"
        self._prompt = prompt or CHAT_PROMPT
        self._session = _session(most_requests)
        # Refusals are fast, captions take their time: leave room for those requested concurrently.
        self._most_refusals = max(_REFUSALS, most_requests)
        key = os.environ.get(KEY_VARIABLE)
        self._session.auth = signing({"Authorization": f"Bearer {key}"} if key else {})
        self.prepare: Callable[[bytes], str] = EndpointImages(max_pixels)
        self._lock = Lock()
        self._captioned = False
        self._refused = 0

    def captions(
        self,
        items: Sequence[str],
        rows: Sequence[str],
        generation: Generation,
        prompts: Sequence[str] | None = None,
    ) -> Sequence[list[str] | UnusableError]:
        """Return the candidates for each image, or an error for one that the server fails on.

        `items` are images as returned by `prepare`.

        Raises:
            InputDataError: the server cannot be reached, is unavailable, does not accept the model
                or the key, or refuses all requests.
        """
        asked = prompts or [self._prompt] * len(items)
        bodies = [
            self._body(item, prompt, generation, seed)
            for item, prompt, seed in zip(items, asked, generation.seeds(rows), strict=True)
        ]
        ask = self._ask if generation.attempt == 1 else self._ask_again
        return [ask(body) for body in bodies]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _body(self, image: str, prompt: str, generation: Generation, seed: int) -> dict[str, Any]:
        content = [
            {"type": "text", "text": prompt},
            {"type": "image_url", "image_url": {"url": image}},
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
        try:
            return self._texts(self._post(body))
        except requests.RequestException as error:
            if _breaks_off(error) or _is_too_late(error):
                cut = isinstance(error, ChunkedEncodingError)
                name = (type(error) if cut else requests.ReadTimeout).__name__
                return UnusableError("endpoint_error", f"{name}: no answer")
            raise self._unreachable(error) from error

    def _ask_again(self, body: dict[str, Any]) -> list[str] | UnusableError:
        """Request a second caption: since there is a first one, no failure ends the step."""
        try:
            return self._ask(body)
        except InputDataError as error:
            return UnusableError("endpoint_error", str(error))

    def _post(self, body: dict[str, Any], tries: int = _TRIES) -> requests.Response:
        """Return the response to a request, which is repeated if the response is cut off.

        Other temporary failures are left to the session, which does not look into responses.
        """
        try:
            return self._session.post(self._url, json=body, timeout=_TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            if tries == 1 or not _breaks_off(error):
                raise
        return self._post(body, tries - 1)

    def _unreachable(self, error: requests.RequestException) -> InputDataError:
        return InputDataError(
            f"endpoint {self._url}: {type(error).__name__}; is the server running there?"
        )

    def _texts(self, response: requests.Response) -> list[str] | UnusableError:
        reason = _USERS_MATTER.get(response.status_code)
        if reason is not None:
            msg = f"endpoint {self._url}: {response.status_code}, it {reason}. {_start(response)}"
            raise InputDataError(msg)
        if response.status_code == requests.codes.bad_request:
            return self._refusal(response)
        if response.status_code in _AWAY and self._is_away():
            msg = f"endpoint {self._url}: {response.status_code}, and it answers nothing else."
            raise InputDataError(msg, temporary=True)
        if response.status_code != requests.codes.ok:
            return UnusableError("endpoint_error", f"{response.status_code}: {_start(response)}")
        try:
            texts = whole_texts(response.json())
        except (ValueError, KeyError, TypeError, AttributeError):
            return UnusableError("endpoint_error", f"not a chat completion: {_start(response)}")
        self._captioned = True
        return texts

    def _is_away(self) -> bool:
        """Return whether the server does not even list its models, so that no image is to blame."""
        url = self._url.removesuffix("/chat/completions") + "/models"
        try:
            # On a separate connection: one that is kept open may be closed by a server that is up.
            answer = requests.get(
                url, auth=self._session.auth, timeout=_PROBE_TIMEOUT, allow_redirects=False
            )
        except requests.RequestException:
            return True
        return answer.status_code in _AWAY

    def _refusal(self, response: requests.Response) -> UnusableError:
        """Return the error for a row that the server refuses.

        Raises:
            InputDataError: it has refused too many rows, and captioned none.
        """
        with self._lock:
            self._refused += 1
            always = self._refused >= self._most_refusals and not self._captioned
        if always:
            msg = (
                f"endpoint {self._url}: 400, it refuses the request, and the {self._refused - 1} "
                f"before it. {_start(response)}"
            )
            raise InputDataError(msg)
        return UnusableError("refused", f"400: {_start(response)}")


def refuse_unsupported(generation: Generation) -> None:
    """Check that an endpoint supports what is requested.

    Raises:
        InvalidArgumentError: it does not.
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
    """Return the part of a request that says how tokens are chosen.

    The second attempt is sampled in any case: the likeliest tokens would be the same again.
    """
    drawn = generation.sample or generation.attempt > 1
    choosing = {
        "temperature": generation.temperature if drawn else 0.0,
        "top_p": generation.top_p if drawn else 1.0,
    }
    penalty = min(generation.repetition_penalty - 1, _HIGHEST_PENALTY)
    return {**choosing, "frequency_penalty": round(penalty, 6)} if penalty else choosing


def _session(most_requests: int) -> requests.Session:
    """Return a session that retries by itself, according to `_ASK_AGAIN`."""
    session = requests.Session()
    adapter = HTTPAdapter(pool_maxsize=most_requests, max_retries=_ASK_AGAIN)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _breaks_off(error: requests.RequestException) -> bool:
    """Return whether a response began, but did not end."""
    return isinstance(error, ChunkedEncodingError) or isinstance(_cause(error), ReadTimeoutError)


def _is_too_late(error: requests.RequestException) -> bool:
    """Return whether the server was reached, but did not respond in time in any attempt."""
    cause = _cause(error)
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, ReadTimeoutError)


def _cause(error: requests.RequestException) -> object:
    return error.args[0] if error.args else None


def _start(response: requests.Response) -> str:
    return " ".join(response.text.split())[:200]
