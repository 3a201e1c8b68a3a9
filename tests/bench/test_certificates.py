from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from bench.certificates import Certificates, make_certificates, server_context

HOST = "127.0.0.1"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path, HOST, "upstream.test")


def shake_hands(client: ssl.SSLContext, server: Path, name: str) -> ssl.SSLObject:
    """Return the client's end. Raises ssl.SSLError."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    mine = client.wrap_bio(back, there, server_hostname=name)
    theirs = server_context(server).wrap_bio(there, back, server_side=True)
    for end in (mine, theirs, mine, theirs):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return mine


@pytest.mark.parametrize("name", [HOST, "upstream.test"])
def test_who_trusts_the_authority_trusts_the_server(certificates: Certificates, name: str) -> None:
    client = certificates.client_context()
    assert shake_hands(client, certificates.server, name).version() == "TLSv1.3"


@pytest.mark.parametrize("name", ["127.0.0.2", "other.test"])
def test_the_server_has_its_names_only(certificates: Certificates, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|not valid"):
        shake_hands(certificates.client_context(), certificates.server, name)


def test_nobody_else_trusts_it(certificates: Certificates) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shake_hands(ssl.create_default_context(), certificates.server, HOST)
