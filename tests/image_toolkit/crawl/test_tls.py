import ssl

import pytest
import trustme

from tests.image_toolkit.crawl.conftest import reasons
from tests.image_toolkit.crawl.fault_host import FaultHost
from tests.image_toolkit.crawl.http2_host import Http2Host


@pytest.fixture
def authority(tmp_path):
    """Return a certificate authority; its file is `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return authority


def server_context(authority, *names):
    """Return the TLS settings of a host with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_https_works_with_a_certificate_for_the_name(authority, tmp_path, fetch):
    """The certificate is checked against the name, though the address is pinned."""
    with FaultHost(server_context(authority, "good.test")) as host:
        url = f"https://good.test:{host.port}/ok/1"
        assert reasons(fetch(url, ca_file=str(tmp_path / "ca.pem"))) == ["ok"]


def test_an_answer_that_does_not_come_keeps_no_other_waiting(authority, tmp_path, fetch):
    """Where nothing can share the first connection, others are opened at once, TLS or not."""
    context = server_context(authority, "good.test")
    context.set_alpn_protocols(["http/1.1"])
    for host, scheme in ((FaultHost(), "http"), (FaultHost(context), "https")):
        with host:
            urls = [
                f"{scheme}://good.test:{host.port}/{path}" for path in ("silence", "ok", "ok/2")
            ]
            found = fetch(*urls, ca_file=str(tmp_path / "ca.pem"))
        assert reasons(found)[1:] == ["ok", "ok"], scheme


def test_a_certificate_that_is_not_trusted_is_a_tls_error(authority, tmp_path, fetch):
    """Of an unknown authority or for another name: nothing is fetched, nor tried again."""
    ca_file = str(tmp_path / "ca.pem")
    with FaultHost(server_context(authority, "other.test")) as host:
        url = f"https://good.test:{host.port}/ok/1"
        found = fetch(url, limits={"retries": 2})
        assert [*reasons(found), found[0].attempts] == ["tls_error", 1]
        assert reasons(fetch(url, ca_file=ca_file)) == ["tls_error"]


def test_http2_is_spoken_where_the_host_speaks_it(authority, tmp_path, fetch, names):
    """URLs of a host that speaks HTTP/2 share the connections that the first of them opened."""
    names["localhost"] = ["127.0.0.1"]
    with Http2Host(server_context(authority, "localhost")) as host:
        urls = [f"{host.url}/ok/{number}" for number in range(40)]
        ca_file, limits = str(tmp_path / "ca.pem"), {"connections_per_host": 2}
        found = fetch(*urls, f"{host.url}/status", ca_file=ca_file, limits=limits)
    assert reasons(found) == ["ok"] * 40 + ["http_404"]
    assert {f.reply.http_version for f in found[:40]} == {"2"}
    assert 1 <= host.connections <= 2


def test_an_http2_reset_spares_the_others(authority, tmp_path, fetch, names):
    """A stream that the host resets loses its URL, and no other."""
    names["localhost"] = ["127.0.0.1"]
    with Http2Host(server_context(authority, "localhost")) as host:
        urls = [f"{host.url}/ok/{number}" for number in range(5)]
        found = fetch(*urls, f"{host.url}/reset", ca_file=str(tmp_path / "ca.pem"))
    assert reasons(found) == ["ok"] * 5 + ["http2_error"]


def test_an_http2_connection_that_ends_is_opened_anew(authority, tmp_path, fetch, names):
    """URLs that a host's GOAWAY cut off are fetched over another connection."""
    names["localhost"] = ["127.0.0.1"]
    with Http2Host(server_context(authority, "localhost")) as host:
        urls = [f"{host.url}/ok/{number}" for number in range(5)]
        found = fetch(
            *urls,
            f"{host.url}/goaway-once",
            ca_file=str(tmp_path / "ca.pem"),
            limits={"retries": 2, "connections_per_host": 1},
        )
        assert host.connections == 2
    assert reasons(found) == ["ok"] * 6
