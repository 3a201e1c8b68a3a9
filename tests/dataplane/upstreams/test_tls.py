"""Whom TLS towards upstream trusts, by mitmproxy's options, and what a handshake has shown."""

from __future__ import annotations

import asyncio
import ssl
import threading
from pathlib import Path
from typing import Any

import certifi
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.net import tls as net_tls
from mitmproxy.options import Options
from mitmproxy.test import taddons
from OpenSSL import crypto

from neurolink_mitm.core.request.target import UpstreamKey
from neurolink_mitm.dataplane.upstreams.dial import DialError, dial
from neurolink_mitm.dataplane.upstreams.tls import TlsFacts, TlsSettings, UpstreamTrust
from tests.connect_proxy import Authority
from tests.dataplane.upstreams.loops import LIMIT, Recorder, server_context, serving, trusting


async def shake(port: int, trust: UpstreamTrust, host: str = "localhost") -> TlsFacts:
    async with asyncio.timeout(LIMIT):
        connection = await dial(UpstreamKey(host, port, tls=True), Recorder, trust)
        connection.transport.abort()
        assert isinstance(connection.protocol, Recorder)
        await connection.protocol.lost.wait()
    assert connection.tls
    return connection.tls


async def refused(port: int, trust: UpstreamTrust) -> str:
    with pytest.raises(DialError) as caught:
        await shake(port, trust)
    return str(caught.value)


async def test_the_settings_are_options_of_mitmproxy() -> None:
    assert TlsSettings.of(Options()) == TlsSettings()
    with taddons.context(TlsConfig()) as context:
        assert TlsSettings.of(context.options) == TlsSettings()
        context.options.update(
            ssl_verify_upstream_trusted_ca="a.pem",
            ssl_verify_upstream_trusted_confdir="d",
            client_certs="/",
            tls_version_server_min="TLS1_3",
            tls_version_server_max="TLS1_3",
            ciphers_server="AES256-SHA",
        )
        settings = TlsSettings.of(context.options)
    assert settings == TlsSettings("a.pem", "d", "/", "TLS1_3", "TLS1_3", "AES256-SHA")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("name", sorted(net_tls.Version.__members__))
def test_each_version_of_mitmproxys_is_known(name: str) -> None:
    bound = TlsSettings(lowest=name).context(None).minimum_version
    assert (bound == ssl.TLSVersion.MINIMUM_SUPPORTED) is (name == "UNBOUNDED")


async def test_without_options_certifis_authorities_are_trusted() -> None:
    assert TlsSettings().files == (certifi.where(), None)
    context = await UpstreamTrust().context("api.anthropic.com")
    assert context.cert_store_stats()["x509_ca"] > 100
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT


async def test_a_directory_of_authorities(
    authority: Authority, certificate: Path, tmp_path: Path
) -> None:
    root = crypto.load_certificate(crypto.FILETYPE_PEM, authority.path.read_bytes())
    hashed = tmp_path / f"{root.subject_name_hash():08x}.0"
    hashed.write_bytes(authority.path.read_bytes())
    async with serving(context=server_context(certificate)) as port:
        assert await shake(port, UpstreamTrust(TlsSettings(directory=str(tmp_path))))


async def test_one_context_for_all_is_made_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    made = TlsSettings.context

    def make(self: TlsSettings, certificate: str | None) -> ssl.SSLContext:
        threads.append(threading.current_thread())
        return made(self, certificate)

    monkeypatch.setattr(TlsSettings, "context", make)
    trust = UpstreamTrust()
    contexts = await asyncio.gather(*(trust.context(f"host{i}") for i in range(20)))
    assert len(set(contexts)) == len(threads) == 1
    assert threads[0] is not threading.main_thread()


async def test_who_leaves_meanwhile_takes_it_from_nobody() -> None:
    trust = UpstreamTrust()
    first = asyncio.create_task(trust.context("a"))
    second = asyncio.create_task(trust.context("b"))
    await asyncio.sleep(0)
    first.cancel()
    assert isinstance(await second, ssl.SSLContext)


async def test_other_settings_count_from_the_next_connection_on(
    authority: Authority, certificate: Path
) -> None:
    trust = UpstreamTrust()
    async with serving(context=server_context(certificate)) as port:
        assert "unable to get local issuer" in await refused(port, trust)
        trust.configure(TlsSettings(authorities=str(authority.path)))
        assert trust.generation == 1
        assert await shake(port, trust)
        trust.configure(TlsSettings(authorities=str(authority.path)))
        assert trust.generation == 1
        trust.configure(TlsSettings())
        assert trust.generation == 2
        assert "unable to get local issuer" in await refused(port, trust)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (TlsSettings(authorities="/nowhere.pem"), "trusted_ca: /nowhere.pem is no file"),
        (TlsSettings(authorities=pytest.__file__), "__init__.py holds no PEM certificate"),
        (TlsSettings(directory="/nowhere"), "trusted_confdir: /nowhere is no directory"),
    ],
    ids=["file", "no-pem", "directory"],
)
async def test_files_that_can_not_be_right(settings: TlsSettings, said: str) -> None:
    trust = UpstreamTrust()
    with pytest.raises(ValueError, match=said):
        trust.configure(settings)
    assert (trust.settings, trust.generation) == (TlsSettings(), 0)


@pytest.mark.parametrize("content", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
async def test_a_list_of_authorities_that_can_not_be_read(
    tmp_path: Path, authority: Authority, content: bytes
) -> None:
    path = tmp_path / "roots.pem"
    path.write_bytes(content)
    trust = trusting(path)
    with pytest.raises(DialError, match=f"TLS can't be set up with {path}: ") as caught:
        await trust.context("h")
    assert caught.value.permanent
    path.write_bytes(authority.path.read_bytes())
    assert await trust.context("h")


async def test_a_cipher_that_does_not_exist() -> None:
    with pytest.raises(DialError, match="TLS can't be set up"):
        await UpstreamTrust(TlsSettings(ciphers="NONSENSE")).context("h")


@pytest.mark.parametrize(
    ("settings", "version", "cipher"),
    [
        ({}, "TLSv1.3", ""),
        ({"highest": "TLS1_2"}, "TLSv1.2", ""),
        (
            {"highest": "TLS1_2", "ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305"},
            "TLSv1.2",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
        ({"lowest": "TLS1_3"}, "TLSv1.3", ""),
    ],
    ids=["default", "highest", "cipher", "lowest"],
)
async def test_versions_and_ciphers(
    authority: Authority, certificate: Path, settings: dict[str, str], version: str, cipher: str
) -> None:
    async with serving(context=server_context(certificate)) as port:
        facts = await shake(port, trusting(authority.path, **settings))
    assert facts.version == version
    assert cipher in facts.cipher


async def test_a_version_that_is_too_low(authority: Authority, certificate: Path) -> None:
    context = server_context(certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(context=context) as port:
        said = await refused(port, trusting(authority.path, lowest="TLS1_3"))
    assert said in (
        "TLS fails: tlsv1 alert protocol version",
        "closed the connection during the TLS handshake",  # asyncio's server does not send the alert
    )


@pytest.mark.parametrize("in_directory", [True, False], ids=["directory", "file"])
async def test_the_clients_certificate(
    authority: Authority, certificate: Path, tmp_path: Path, in_directory: bool
) -> None:
    own = authority.certificate("client.example").rename(tmp_path / "localhost.pem")
    context = server_context(certificate)
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    shown = asyncio.Queue[Any]()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.put_nowait(writer.get_extra_info("peercert"))

    trust = trusting(authority.path, client_certs=str(tmp_path if in_directory else own))
    async with serving(serve, context) as port, asyncio.timeout(LIMIT):
        connection = await dial(UpstreamKey("localhost", port, tls=True), Recorder, trust)
        names = (await shown.get())["subjectAltName"]
        connection.transport.abort()
    assert names == (("DNS", "client.example"),)


def test_a_password_of_a_key_is_not_asked_for_on_the_terminal(
    certificate: Path, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    locked = serialization.BestAvailableEncryption(b"hunter2")
    path = tmp_path / "client.pem"
    private = key.private_bytes(serialization.Encoding.PEM, form, locked)
    path.write_bytes(certificate.read_bytes().partition(b"-----BEGIN PRIV")[0] + private)
    with pytest.raises(ValueError, match="the key of client_certs has a password"):
        TlsSettings().context(str(path))


def test_a_certificate_of_the_clients_for_some_hosts(tmp_path: Path) -> None:
    (tmp_path / "a.example.pem").write_bytes(b"")
    settings = TlsSettings(client_certs=str(tmp_path))
    assert settings.certificate_for("a.example") == str(tmp_path / "a.example.pem")
    assert settings.certificate_for("b.example") is None
    assert TlsSettings().certificate_for("a.example") is None


async def test_the_keys_of_the_connections_are_logged(
    authority: Authority, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "keys"
    monkeypatch.setattr(net_tls, "log_master_secret", net_tls.make_master_secret_logger(str(log)))
    async with serving(context=server_context(certificate)) as port:
        await shake(port, trusting(authority.path))
    assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text()


class Handshake:
    """Of a server that has chosen the protocol `alpn`; OpenSSL 3 itself refuses what was not offered."""

    def __init__(self, alpn: str | None) -> None:
        self.alpn = alpn

    def version(self) -> str:
        return "TLSv1.3"

    def cipher(self) -> tuple[str, str, int]:
        return "TLS_AES_128_GCM_SHA256", "TLSv1.3", 128

    def getpeercert(self, binary: bool) -> bytes:
        return b"certificate"

    def selected_alpn_protocol(self) -> str | None:
        return self.alpn


def test_a_protocol_that_was_not_offered() -> None:
    handshake: Any = Handshake("h2")
    with pytest.raises(DialError, match="speaks 'h2' by TLS's ALPN, which was not offered"):
        TlsFacts.of(handshake, "h")


@pytest.mark.parametrize(("alpn", "fact"), [(None, None), ("http/1.1", b"http/1.1")])
def test_servers_need_not_know_alpn(alpn: str | None, fact: bytes | None) -> None:
    handshake: Any = Handshake(alpn)
    facts = TlsFacts.of(handshake, "h")
    assert (facts.alpn, facts.certificates) == (fact, (b"certificate",))
