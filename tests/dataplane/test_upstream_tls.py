from __future__ import annotations

import pytest
from mitmproxy import options
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy.context import Context
from mitmproxy.test import tflow
from mitmproxy.tls import TlsData
from OpenSSL import SSL

from neurolink_mitm.core.request.target import Via
from neurolink_mitm.dataplane.lean import LeanMaster
from neurolink_mitm.dataplane.upstream_tls import ProxyAddress, UpstreamTls, server_spec

HOST = "api.anthropic.com"


async def handshake(tls: UpstreamTls, connection: Connection) -> TlsData:
    """A handshake that begins, with the options of a lean master."""
    master = LeanMaster(options.Options())
    data = TlsData(connection, Context(tflow.tclient_conn(), master.options))
    tls.tls_start_server(data)
    return data


async def test_upstream_has_to_show_a_certificate_that_is_trusted() -> None:
    data = await handshake(UpstreamTls(), Server(address=(HOST, 443), sni=HOST))
    assert data.ssl_conn is not None
    assert data.ssl_conn.get_context().get_verify_mode() & SSL.VERIFY_PEER


async def test_a_new_handshake_forgets_the_issuer_of_the_last_one() -> None:
    tls = UpstreamTls()
    tls.issuers |= {HOST: "CN=somebody", "other": "CN=other"}
    await handshake(tls, Server(address=(HOST, 443), sni=HOST))
    assert tls.issuers == {"other": "CN=other"}


async def test_tls_with_clients_is_not_ours() -> None:
    assert (await handshake(UpstreamTls(), tflow.tclient_conn())).ssl_conn is None


@pytest.mark.parametrize(
    ("other", "same"),
    [("http://me:pw@proxy.example:8", True), ("http://you:pw@proxy.example:8", False),
     ("http://proxy.example:8", False), ("http://me:pw@proxy.example:9", False)],
)  # fmt: skip
def test_users_of_one_http_proxy_share_no_connection(other: str, same: bool) -> None:
    mine = ProxyAddress.of(Via.parse("http://me:pw@proxy.example:8"))
    theirs = ProxyAddress.of(Via.parse(other))
    assert (mine == theirs) is same
    assert (len({mine, theirs}) == 1) is same


def test_the_form_of_mitmproxy() -> None:
    assert server_spec(None) is None
    assert server_spec(Via.parse("proxy.example:8")) == (
        "http",
        ProxyAddress.of(Via.parse("proxy.example:8")),
    )
