"""Text made safe to show: without secrets and terminal control sequences."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fondant_spec import shown_text
from fondant_spec.errors import FondantError
from fondant_spec.shown_text import plain, redact, redact_all, remember, shown, signs_in


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch):
    monkeypatch.setattr(shown_text, "_remembered", set())
    shown_text._known.cache_clear()
    yield
    shown_text._known.cache_clear()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("see http://user:pass@host/x, ok", "see http://***@host/x, ok"),
        ("http://user:pa/ss@host:80/x", "http://***@host:80/x"),
        ("http://user:p@ss@host", "http://***@host"),
        ("https://token@host/x.git", "https://***@host/x.git"),
        ("socks5h://u:p@[::1]:1080", "socks5h://***@[::1]:1080"),
        ("simplecache::s3://key:secret@bucket/x", "simplecache::s3://***@bucket/x"),
        ("HOST is 'http://u:p@h', which", "HOST is 'http://***@h', which"),
        ("http://h/?x=1&access_token=abc#f", "http://h/?x=1&access_token=***#f"),
        ("https://s3/x?X-Amz-Signature=abc&X-Amz-Date=1", "https://s3/x?X-Amz-Signature=***&X-Amz-Date=1"),
        ("https://a.blob/x?sv=1&sig=a%2Bb", "https://a.blob/x?sv=1&sig=***"),
        ("{'Authorization': 'Bearer abcdefgh'}", "{'Authorization': '***'}"),
        ("sent Bearer abcdefgh.ijk", "sent Bearer ***"),
        ("Cookie: authservice_session=MTY", "Cookie: ***"),
    ],
)  # fmt: skip
def test_secrets_are_told_by_their_place(text, left):
    """A password in a URL, a query that signs in, or such a header is hidden; the rest stays."""
    assert redact(text) == left
    assert FondantError(text).args == (left,)
    assert redact_all({"a": [text, 1, None]}) == {"a": [left, 1, None]}


@pytest.mark.parametrize(
    "text",
    [
        "abfs://container@account.dfs.core.windows.net/x",
        "hf://datasets/user/repo@revision/x.csv",
        "https://medium.com/@user/x",
        "http://localhost:8000 user@mail.example",
        "http://[::1]:80/x@y",
        "http://h:80/?a=b@c",
        "mail me: a@b.c, ratio 3:4",
        "gs://bucket/a:b@c",
        "a token=3 of them",
    ],
)
def test_what_is_no_secret_stays(text):
    """Addresses that sign in nowhere are as they were, and may be arguments."""
    assert redact(text) == text
    assert not signs_in(text)


def test_secrets_of_the_environment_are_hidden_wherever_they_stand(monkeypatch):
    """By the name of their variable, or as a password in one; where they lie is no secret."""
    variables = {
        "HF_TOKEN": "hf_abcdef",
        "MY_PROXY": "http://user:p%40ssword@host:3128",
        "DB_PASSWORD": "short",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/key.json",
        "KUBEFLOW_TOKEN_FILE": "somewhere",
        "KUBEFLOW_SECRETS": "HF_TOKEN=hugging-face/token",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    text = "hf_abcdef p%40ssword p@ssword short /home/me/key.json somewhere hugging-face/token"
    assert redact(text) == "*** *** *** short /home/me/key.json somewhere hugging-face/token"


def test_a_secret_is_hidden_in_all_its_forms():
    """As it is, without the user before it, and in base64, as the header has it."""
    remember("user:open-sesame")
    assert redact("user:open-sesame, open-sesame, dXNlcjpvcGVuLXNlc2FtZQ==") == "***, ***, ***"


def test_a_terminal_obeys_nothing():
    """Control characters, and those that turn text round, are spelled out; lines stay lines."""
    assert shown("\x1b]0;title\x07 \x1b[2J\r\x9b1m \u202etxt.exe\ta\nb\x7f \ud800é") == (
        "\\x1b]0;title\\x07 \\x1b[2J\\r\\x9b1m \\u202etxt.exe\ta\nb\\x7f \\ud800é"
    )


@given(st.text())
@settings(max_examples=50)
def test_any_text_can_be_printed(text):
    """What is shown can be encoded, and is shown the same when it is shown again."""
    safe = shown(text)
    safe.encode()
    assert plain(safe) == safe
    assert redact(safe) == safe


@pytest.mark.parametrize(
    "piece", ["a://b:", "http://u:p@", "?token=", "cookie: ", "https://a", "a:b@", "://", "aA0+-."]
)
def test_no_text_takes_long(piece):
    """A long line, made to have a pattern look far, takes about as long as any other."""
    began = time.process_time()
    redact(piece * (200_000 // len(piece)))
    assert time.process_time() - began < 5
