import socket
import ssl
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.sandbox.accounts import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.wire import Tls, listen, url_of
from tests.adapters.tls_server import make_certificate
from tests.sandbox.asking import BY_KEY, KEY, message


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(str(make_certificate(tmp_path)))


def test_it_speaks_tls(tls: Tls) -> None:
    trusted = ssl.create_default_context(cafile=tls.certfile)
    with SandboxServer([Account("a", KEY)], tls=tls) as sandbox:
        assert sandbox.url.startswith("https://127.0.0.1:")
        url = sandbox.url.replace("127.0.0.1", "localhost")
        response = httpx.post(f"{url}/v1/messages", json=message(), headers=BY_KEY, verify=trusted)
    assert response.status_code == 200


@pytest.mark.parametrize("reply", [Reply(cut_after=2), Reply(cut_after=2, reset=True)])
def test_it_cuts_through_tls(tls: Tls, reply: Reply) -> None:
    trusted = ssl.create_default_context(cafile=tls.certfile)
    with (
        SandboxServer([Account("a", KEY)], tls=tls) as sandbox,
        httpx.Client(
            base_url=sandbox.url.replace("127.0.0.1", "localhost"), headers=BY_KEY, verify=trusted
        ) as client,
    ):
        sandbox.script("a", reply)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            client.post("/v1/messages", json=message(stream=True))


def test_a_certificate_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        SandboxServer(tls=Tls("/nonexistent.pem")).start()


def test_an_ipv6_address_is_bracketed() -> None:
    try:
        listener = listen("::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert url_of(listener, None) == f"http://[::1]:{listener.getsockname()[1]}"


def test_what_is_not_http_is_refused(sandbox: SandboxServer) -> None:
    with socket.create_connection((sandbox.host, sandbox.port), timeout=5) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
