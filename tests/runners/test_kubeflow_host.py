"""Reaching a Kubeflow Pipelines host: one line for each obstacle."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fondant_spec.errors import HostError
from fondant_spec.runners.kubeflow import Credentials
from fondant_spec.runners.kubeflow.host import Host
from tests.runners.kfp_server import KfpServer, listening, reply, serving

LOGIN = (
    "set KUBEFLOW_TOKEN, KUBEFLOW_TOKEN_FILE or KUBEFLOW_COOKIE (see docs/kubeflow.md, Signing in)"
)
PAGE = b"<!doctype html><title>Sign in</title>"
JSON = {"Content-Type": "application/json"}


def answering(status: int, headers: dict[str, str], body: bytes) -> type[BaseHTTPRequestHandler]:
    """Return a handler that gives everyone the same answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply(self, status, headers, body)

        def log_message(self, *words: object) -> None:
            pass

    return Handler


def refusal(url: str, timeout: tuple[float, float] = (3, 5)) -> str:
    """Return what is wrong with a host, in its own words."""
    with pytest.raises(HostError) as caught:
        Host(url, timeout=timeout).check()
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, {}, b"no"), f"URL does not know us (401); {LOGIN}."),
        (
            (403, JSON, b'{"message": "not\\n yours"}'),
            "URL does not allow this (403): not yours; check KUBEFLOW_NAMESPACE and your rights ",
        ),
        (
            (404, {}, PAGE),
            "there is no Kubeflow Pipelines 2 at URL (404); check the path of HOST, which on many ",
        ),
        ((200, {}, PAGE), f"URL answers with a page, perhaps to log in, instead of data; {LOGIN}."),
        (
            (404, JSON, b'{"code": 5, "message": "Not Found"}'),
            "there is no Kubeflow Pipelines 2 at URL (404); check the path of HOST, which on many ",
        ),
        (
            (404, JSON, b'{"code": 5, "message": "Run 7 not found."}'),
            "URL does not have what is asked for (404): Run 7 not found.",
        ),
        ((407, {}, b""), "the proxy to URL does not know us (407); check HTTPS_PROXY, "),
        ((200, JSON, b"[1]"), "URL answers with a page, perhaps to log in, instead of data; "),
        ((302, {"Location": "/dex/auth"}, b""), f"URL sends us to a login page; {LOGIN}."),
        ((500, {}, PAGE), "URL is in trouble (500); try again later."),
        (
            (503, JSON, b'{"message": "no upstream"}'),
            "URL is in trouble (503): no upstream; try again later.",
        ),
        ((429, {}, b""), "URL is in trouble (429); try again later."),
        (
            (200, JSON, b'{"status": "ok"}'),
            "URL answers, but is not Kubeflow Pipelines; check HOST and its path.",
        ),
        ((418, {}, b""), "URL refuses the request (418)"),
    ],
)
def test_answers_that_are_no_welcome(answer, message):
    """Each wrong answer is one line that says what it means and what to do."""
    with listening(answering(*answer)) as url:
        assert refusal(url).replace(url, "URL").startswith(message)


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://kfp.example.com/pipeline/PATH", "on to https://kfp.example.com/pipeline; set "),
        ("/other/PATH", "on to URL/other; set HOST to that."),
        ("/PATH/?x=1", "to a login page; "),
        ("https://login.example.com/auth?rd=/PATH", "to a login page; "),
    ],
)
def test_redirects(location, told):
    """A host that has moved, as from http to https, is told from one that wants a login."""
    location = location.replace("PATH", "apis/v2beta1/healthz")
    with listening(answering(301, {"Location": location}, b"")) as url:
        assert refusal(url).replace(url, "URL").startswith(f"URL sends us {told}")


@pytest.mark.parametrize(
    "url",
    [
        *("x86_64-conda-linux-gnu", "my-laptop", "kubeflow.example.com", "ftp://kfp", "https://"),
        *("http://kfp..example.com", f"http://{'a' * 64}.example.com", "http://kfp:99999"),
    ],
)
def test_not_a_url(url):
    """A HOST that a shell set by itself is told from an address."""
    assert refusal(url) == (
        f"HOST is {url!r}, which is no URL. Some shells, and conda, set a HOST of their own: unset "
        "it to run here, or set it to Kubeflow Pipelines, such as "
        "https://kubeflow.example.com/pipeline."
    )


def test_no_host():
    """An unset HOST is told so."""
    assert refusal("") == (
        "HOST is not set; set it to Kubeflow Pipelines, or choose another --runner."
    )


def test_unknown_host():
    """A name that does not exist is named."""
    assert refusal("http://nosuch.invalid/pipeline") == (
        "there is no host named nosuch.invalid; check HOST, and the VPN to it."
    )


def test_refused():
    """A port where nobody listens is told from a name that does not exist."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    assert refusal(url) == (
        f"{url} refuses connections; check the port of HOST, and the port-forward to it."
    )


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        ("http://127.0.0.1:PORT", "does not serve; "),
        (
            "kfp:proxy",
            "cannot be used, or HOST is no address (Please check proxy URL. It is malformed ",
        ),
        (
            "ftp://127.0.0.1:PORT",
            "cannot be used, or HOST is no address (Proxy URL had unsupported scheme ftp, ",
        ),
    ],
)
def test_a_proxy_that_does_not_serve(monkeypatch, proxy, told):
    """A proxy that cannot be reached, or be used at all, is not taken for the host."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("http_proxy", proxy.replace("PORT", str(port)))
    monkeypatch.setenv("no_proxy", "")
    text = refusal("http://kfp.example.com")
    assert text.startswith(f"the proxy to http://kfp.example.com {told}")
    assert text.endswith("; check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.")


def test_a_path_that_speaks_of_refusal():
    """What the address itself says is not taken for the reason."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/refused-NameResolutionError"

        def accept() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=accept)
        thread.start()
        assert refusal(url).startswith(f"the connection to {url} broke off (")
        thread.join()


@pytest.mark.parametrize("backlog", [True, False], ids=["no answer", "answer cut off"])
def test_slow_host(backlog):
    """A host that takes the connection and says nothing is not waited for."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if backlog:
            assert refusal(url, timeout=(0.2, 0.2)) == (
                f"{url} does not answer in time; check HOST, and the VPN or port-forward to it."
            )
            return

        def accept() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=accept)
        thread.start()
        assert refusal(url).startswith(f"the connection to {url} broke off (")
        thread.join()


def test_tls(tmp_path):
    """A certificate of an unknown authority is named as the reason."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"

        def accept() -> None:
            connection, _ = listener.accept()
            with connection, pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=accept)
        thread.start()
        text = refusal(url)
        thread.join()
    assert text.startswith(f"no safe connection to {url} (")
    assert "certificate verify failed" in text
    assert text.endswith("name that authority's file in REQUESTS_CA_BUNDLE.")


def test_https_where_http_is_spoken():
    """A certificate is not blamed where there is none."""
    with serving(KfpServer()) as server:
        text = refusal(server.url.replace("http:", "https:"))
    assert "; check that it speaks https, and the file that REQUESTS_CA_BUNDLE names" in text


def test_a_file_of_certificates_that_is_not_there(monkeypatch, tmp_path):
    """The file is named, and the variable that names it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    text = refusal("https://127.0.0.1:1/pipeline")
    assert text.startswith("no safe connection to https://127.0.0.1:1/pipeline: ")
    assert text.endswith(f"invalid path: {tmp_path / 'ca.pem'}; check REQUESTS_CA_BUNDLE.")


def certificate(folder: Path) -> Path:
    """Write a certificate for loopback, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36500))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(pem)
    )
    return file


@pytest.mark.parametrize(
    "pasted",
    ["{}", "{}/", "{}/#/runs/details/1", "{}/?ns=team#/experiments", " {} "],
)
def test_the_address_may_be_pasted_from_a_browser(pasted):
    """What a browser adds to the address is left away."""
    with serving(KfpServer()) as server:
        assert "/pipeline" in server.url
        for url in (server.url, server.url.replace("/pipeline", "/_/pipeline")):
            host = Host(pasted.format(url))
            assert host.check().version == "2.17.0"
            assert host.run_url("7") == f"{server.url}/#/runs/details/7"


@pytest.mark.parametrize(
    ("environment", "headers"),
    [
        ({"KUBEFLOW_TOKEN": "abc"}, {"Authorization": "Bearer abc"}),
        ({"KUBEFLOW_COOKIE": "authservice_session=x"}, {"Cookie": "authservice_session=x"}),
        ({"KUBEFLOW_TOKEN_FILE": "FILE"}, {"Authorization": "Bearer from-file"}),
    ],
)
def test_signing_in(environment, headers, tmp_path):
    """A token, a token file that is read anew, or a cookie open the host; none of them shows."""
    file = tmp_path / "token"
    file.write_text("from-file\n")
    environment = {name: value.replace("FILE", str(file)) for name, value in environment.items()}
    credentials = Credentials.from_settings(environment)
    assert not any(secret in repr(credentials) for secret in ("abc", "session"))
    with serving(KfpServer(headers=headers)) as server:
        assert Host(server.url, credentials).check().version == "2.17.0"
        assert "does not know us (401)" in refusal(server.url)
        if "KUBEFLOW_TOKEN_FILE" in environment:
            file.unlink()
            with pytest.raises(HostError, match=r"cannot read the token file .*No such file"):
                Host(server.url, credentials).check()


def test_a_token_that_was_copied_with_its_line_end():
    """White space around a token or cookie is left away."""
    for credentials, headers in (
        (Credentials("abc\n"), {"Authorization": "Bearer abc"}),
        (Credentials(cookie=" session=x\r\n"), {"Cookie": "session=x"}),
    ):
        with serving(KfpServer(headers=headers)) as server:
            assert Host(server.url, credentials).check().version == "2.17.0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hush\nhush", " holds a character that none can have; copy the token or cookie again"),
        ("hush\N{HORIZONTAL ELLIPSIS}", " holds a character that none can have; copy the token or"),
        (" \n", " is empty; copy the token or cookie again, as it is."),
    ],
)
def test_what_no_header_can_hold(tmp_path, content, message):
    """What is wrong with a token is told before the host is asked, and it is not shown."""
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    for where, credentials in (
        ("KUBEFLOW_TOKEN", Credentials(content)),
        ("KUBEFLOW_COOKIE", Credentials(cookie=content)),
        (f"the token file {file}", Credentials(token_file=str(file))),
    ):
        with pytest.raises(HostError) as caught:
            Host("http://127.0.0.1:1", credentials).check()
        assert str(caught.value).startswith(f"{where}{message}")
        assert "hush" not in str(caught.value)
    file.write_bytes(b"\xff")
    with pytest.raises(HostError, match=r"cannot read the token file .* \(it is no text\)"):
        Host("http://127.0.0.1:1", Credentials(token_file=str(file))).check()


def test_who_signs_in(monkeypatch, tmp_path):
    """A token goes before the user in HOST, and that before nobody; a `.netrc` is not asked."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for user, token, wanted in (
        ("me:h%21", "abc", "Bearer abc"),
        ("me:h%21", "", "Basic bWU6aCE="),
        ("", "", None),
    ):
        with serving(KfpServer(headers={"Authorization": wanted})) as server:
            host = Host(
                server.url.replace("://", f"://{user}@" * bool(user) or "://"), Credentials(token)
            )
            assert host.check().version == "2.17.0"
            assert (host.url, host.run_url("r")) == (server.url, f"{server.url}/#/runs/details/r")


@pytest.mark.parametrize(
    "url", ["me:hush@kfp.example.com", "ftp://me:hush@kfp", "http://me:hush@[x"]
)
def test_a_wrong_host_keeps_its_password(url):
    """What is no URL is shown without what stands before its name."""
    assert "hush" not in refusal(url)
