"""Probes a base URL: name, HTTP proxy, connection, TLS. No request and no credential of Anthropic is sent."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

import httpcore
from cryptography import x509

from neurolink_mitm.adapters.network import Network
from neurolink_mitm.core.failover.unreachable import refused_by, untrusted
from neurolink_mitm.core.request.target import Target, Via
from neurolink_mitm.core.status.probe_results import UpstreamProbe

LIMIT = 5.0
"""Seconds for each step."""
LONGEST_HEAD = 64 * 1024
"""Bytes of a proxy's answer to CONNECT at most."""


class _NotReachedError(Exception):
    """The probe ends here, with `upstream` as its result."""

    def __init__(self, upstream: UpstreamProbe) -> None:
        super().__init__(upstream.detail)
        self.upstream = upstream


def probe_upstream(
    url: str, network: Network | None = None, own: str | None = None, *, limit: float = LIMIT
) -> UpstreamProbe:
    """Return where a connection to `url` fails. `own` is the account's `proxyUrl`. Blocks; doesn't raise."""
    network = network or Network()
    target = Target.parse(url)
    try:
        via = network.proxies.via(url, own)
        stream = _connected(url, target, via, network.context, limit)
        through = f" through {via.shown}" if via else ""
        if target.scheme == "http":
            stream.close()
            return UpstreamProbe(url, "ok", f"{through}, without TLS")
        return _handshake(url, target, via, stream, network.context, through, limit)
    except _NotReachedError as e:
        return e.upstream
    except ValueError as e:
        return UpstreamProbe(url, "proxy", str(e))


def issuer_of(
    target: Target, via: Via | None, context: ssl.SSLContext, limit: float = LIMIT
) -> str:
    """Return the issuer of the server's certificate; empty if it can't be read. No request is sent."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    with suppress(Exception):
        stream = _connected("", target, via, context, limit)
        secured = stream.start_tls(unverified, target.host, limit)
        try:
            certificate = secured.get_extra_info("ssl_object").getpeercert(True)
            return x509.load_der_x509_certificate(certificate).issuer.rfc4514_string()
        finally:
            secured.close()
    return ""


def _connected(
    url: str, target: Target, via: Via | None, context: ssl.SSLContext, limit: float
) -> httpcore.NetworkStream:
    host, port = (via.host, via.port) if via else (target.host, target.port)
    what = f"the HTTP proxy {via.shown} ({via.source})" if via else ""
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        fault = f"the name {host} is not known here"
        raise _NotReachedError(
            UpstreamProbe(url, "proxy", f"{what}: {fault}")
            if via
            else UpstreamProbe(url, "name", fault)
        ) from None
    stream: httpcore.NetworkStream | None = None
    try:
        stream = httpcore.SyncBackend().connect_tcp(host, port, timeout=limit)
        if via is None:
            return stream
        if via.scheme == "https":
            stream = stream.start_tls(context, via.host, limit)
        _ask_for_tunnel(stream, target, via, limit)
    except (OSError, httpcore.ConnectError, httpcore.TimeoutException, httpcore.NetworkError) as e:
        if via is None:
            raise _NotReachedError(
                UpstreamProbe(url, "connect", f"can't connect: {_error_text(e)}")
            ) from None
        _close(stream)
        raise _NotReachedError(
            UpstreamProbe(url, "proxy", f"{what} can't be reached: {_error_text(e)}")
        ) from None
    except ValueError as e:
        _close(stream)
        raise _NotReachedError(UpstreamProbe(url, "proxy", f"{what} {e}")) from None
    return stream


def _ask_for_tunnel(stream: httpcore.NetworkStream, target: Target, via: Via, limit: float) -> None:
    """Raise `ValueError` with the fault if the proxy opens no tunnel."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    where = f"{host}:{target.port}"
    login = f"Proxy-Authorization: {via.authorization}\r\n" if via.authorization else ""
    stream.write(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{login}\r\n".encode(), limit)
    head = b""
    while b"\r\n\r\n" not in head and len(head) < LONGEST_HEAD:
        data = stream.read(4096, limit)
        if not data:
            break
        head += data
    words = head.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise ValueError("does not answer as an HTTP proxy")
    status = int(words[1])
    if not 200 <= status < 300:
        raise ValueError(refused_by(status, words[2] if len(words) > 2 else "", via, target.host))


def _handshake(
    url: str,
    target: Target,
    via: Via | None,
    stream: httpcore.NetworkStream,
    context: ssl.SSLContext,
    through: str,
    limit: float,
) -> UpstreamProbe:
    try:
        secured = stream.start_tls(context, target.host, limit)
    except Exception as e:  # httpcore wraps what ssl raises
        stream.close()
        cause = certificate_fault(e)
        if cause is None:
            return UpstreamProbe(url, "tls", f"TLS fails: {_error_text(e)}")
        issuer = issuer_of(target, via, context, limit)
        return UpstreamProbe(url, "certificate", untrusted(target.host, cause, issuer))
    version = secured.get_extra_info("ssl_object").version()
    secured.close()
    return UpstreamProbe(url, "ok", f"{through}, certificate verified ({version})")


def _close(stream: httpcore.NetworkStream | None) -> None:
    if stream is not None:
        stream.close()


def certificate_fault(error: BaseException) -> str | None:
    """Return the fault of the certificate that caused `error`; None if it has another cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cause.verify_message
        cause = cause.__cause__ or cause.__context__
    return None


def _error_text(error: Exception) -> str:
    cause = error.__cause__ or error.__context__ or error
    if fault := certificate_fault(error):
        return f"its certificate is not trusted: {fault}"
    if isinstance(error, httpcore.TimeoutException | TimeoutError):
        return "no answer in time"
    return (
        (cause.strerror if isinstance(cause, OSError) else "") or str(cause) or type(cause).__name__
    )
