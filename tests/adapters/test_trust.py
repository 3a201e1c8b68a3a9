"""Which authorities count, and what is said of those that can't be read."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import certifi
import pytest

from neurolink_mitm.adapters.trust import VARIABLES, authorities_fault, read_trust
from neurolink_mitm.dataplane.upstreams.tls import TlsSettings, UpstreamTrust
from tests.connect_proxy import Authority


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Authority(tmp_path_factory.mktemp("authority")).path


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_adds_to_what_is_there(root: Path, name: str) -> None:
    plain = read_trust({})
    found = read_trust({name: str(root.parent if name == "SSL_CERT_DIR" else root)})
    assert found.faults == ()
    assert found.pem.count(b"BEGIN") == plain.pem.count(b"BEGIN") + 1


async def shake(port: int, context: ssl.SSLContext) -> None:
    async with asyncio.timeout(20):
        _, writer = await asyncio.open_connection("localhost", port, ssl=context)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("name", [*VARIABLES, "network.caBundle"])
async def test_whoever_connects_trusts_a_companys_server(tmp_path: Path, name: str) -> None:
    """Requests by the file that is written; refreshes, logins and the doctor by the context."""
    (tmp_path / "roots").mkdir()
    authority = Authority(tmp_path / "roots")
    named = authority.path.parent if name == "SSL_CERT_DIR" else authority.path
    ours = name == "network.caBundle"
    trust = read_trust({} if ours else {name: str(named)}, named if ours else None)
    certificate = authority.certificate("localhost")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=served
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        of_requests = UpstreamTrust(TlsSettings(authorities=str(trust.write(tmp_path / "lists"))))
        await shake(port, await of_requests.context("localhost"))
        await shake(port, trust.context)
        with pytest.raises(ssl.SSLCertVerificationError):
            await shake(port, read_trust({}).context)


def test_certifis_are_among_them() -> None:
    ours, theirs = read_trust({}).pem, Path(certifi.where()).read_bytes()
    assert ours.count(b"BEGIN") >= theirs.count(b"BEGIN") > 100


def test_the_same_one_counts_once(root: Path, tmp_path: Path) -> None:
    twice = tmp_path / "twice.pem"
    twice.write_bytes(root.read_bytes().replace(b"\n", b"\r\n") + root.read_bytes())
    found = read_trust({"SSL_CERT_FILE": str(twice), "REQUESTS_CA_BUNDLE": str(root)})
    assert found.pem.count(b"BEGIN") == read_trust({}).pem.count(b"BEGIN") + 1


def test_the_configurations_adds_as_well(root: Path) -> None:
    assert read_trust({}, root).pem != read_trust({}).pem


BROKEN = b"-----BEGIN CERTIFICATE-----\nTm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "is not there"),
        (b"", "holds no PEM certificate"),
        (b"\x30\x82\x01\x00der", "holds no PEM certificate"),
        (BROKEN, "holds no certificate that can be read"),
    ],
    ids=["missing", "empty", "der", "broken"],
)
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"])
def test_a_file_that_is_none_is_told_by_the_variable(
    tmp_path: Path, content: bytes | None, fault: str, name: str
) -> None:
    path = tmp_path / "corp.pem"
    if content is not None:
        path.write_bytes(content)
    found = read_trust({name: str(path)})
    assert found.pem == read_trust({}).pem
    [said] = found.faults
    assert said.startswith(f"{name}: {path} {fault}")


def test_a_broken_one_does_not_cost_the_others(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "mixed.pem"
    path.write_bytes(BROKEN + root.read_bytes())
    found = read_trust({"SSL_CERT_FILE": str(path)})
    assert found.faults == ()
    assert found.pem.count(b"BEGIN") == read_trust({}).pem.count(b"BEGIN") + 1


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert authorities_fault(pipe) == "is no file"


def test_it_is_written_for_those_who_need_a_file(root: Path, tmp_path: Path) -> None:
    trust = read_trust({"SSL_CERT_FILE": str(root)})
    path = trust.write(tmp_path / "new" / "authorities")
    assert path.read_bytes() == trust.pem
    assert trust.write(path.parent) == path
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_lists_of_long_ago_are_deleted(root: Path, tmp_path: Path) -> None:
    old = read_trust({}).write(tmp_path)
    os.utime(old, (0, 0))
    new = read_trust({"SSL_CERT_FILE": str(root)}).write(tmp_path)
    assert list(tmp_path.iterdir()) == [new]
