"""What is said of an upstream that could not be reached."""

from __future__ import annotations

import pytest

from neurolink_mitm.core.failover.unreachable import (
    BEYOND_PROXY,
    NO_SETUP,
    NO_TUNNEL,
    UNTRUSTED,
    UNTRUSTED_PROXY,
    unreached,
)
from neurolink_mitm.core.request.target import Via

HOST = "api.example.com"
PROXY = "the HTTP proxy http://p:1 (HTTPS_PROXY)"
OPEN = Via.parse("p:1", "HTTPS_PROXY")
LOGIN = Via.parse("u:hunter2@p:1", "proxyUrl")
COMPANY = {HOST: "CN=Acme"}
ADVICE = (
    "; if that is your company's authority, name the file of its root in NODE_EXTRA_CA_CERTS,"
    " SSL_CERT_FILE or network.caBundle"
)


@pytest.mark.parametrize(
    ("error", "via", "message", "kind"),
    [
        ("refused", None, "refused", "connect_error"),
        ("refused", OPEN, f"{PROXY} can't be reached: refused", "connect_error"),
        (f"{NO_TUNNEL}407 Auth", OPEN, f"{PROXY} asks for a user and password (407)", "no_way"),
        (
            f"{NO_TUNNEL}407 ",
            LOGIN,
            "the HTTP proxy http://…@p:1 (proxyUrl) does not take this user and password (407)",
            "no_way",
        ),
        (f"{NO_TUNNEL}403 No\x1b[31m", OPEN, f"{PROXY} refuses to connect to {HOST} (403 No[31m)", "connect_error"),
        (f"{NO_TUNNEL}503 ", OPEN, f"{PROXY} refuses to connect to {HOST} (503)", "connect_error"),
        (
            f"{BEYOND_PROXY}does not speak TLS",
            OPEN,
            f"{HOST}, through {PROXY}: does not speak TLS",
            "connect_error",
        ),
        (f"{NO_SETUP} with a.pem: no such file", OPEN, "TLS can't be set up with a.pem: no such file", "no_way"),
        (
            f"{UNTRUSTED}unable to get local issuer certificate",
            None,
            f"the certificate of {HOST} is not trusted: unable to get local issuer certificate,"
            f" issued by CN=Acme{ADVICE}",
            "no_way",
        ),
        (
            f"{UNTRUSTED}certificate has expired",
            None,
            f"the certificate of {HOST} is not trusted: certificate has expired, issued by CN=Acme;"
            " look at this machine's clock",
            "no_way",
        ),
        (
            f"{UNTRUSTED}hostname mismatch",
            None,
            f"the certificate of {HOST} is not trusted: hostname mismatch, issued by CN=Acme",
            "no_way",
        ),
    ],
    ids=["direct", "dead-proxy", "no-login", "wrong-login", "forbidden", "unavailable", "beyond", "roots",
         "company", "expired", "name"],
)  # fmt: skip
def test_in_words(error: str, via: Via | None, message: str, kind: str) -> None:
    failure = unreached(error, HOST, via, COMPANY)
    assert (failure.message, failure.error_type, failure.sent) == (message, kind, False)


def test_the_certificate_of_the_proxy_itself() -> None:
    via = Via.parse("https://p:1", "HTTPS_PROXY")
    issuers = {"p": "CN=Acme", HOST: "CN=other"}
    failure = unreached(f"{UNTRUSTED_PROXY}self-signed certificate", HOST, via, issuers)
    assert failure.message.startswith("the certificate of the proxy p is not trusted")
    assert "issued by CN=Acme" in failure.message


def test_who_issued_it_is_not_always_known() -> None:
    failure = unreached(f"{UNTRUSTED}self-signed certificate", HOST, None, {})
    assert failure.message == (
        f"the certificate of {HOST} is not trusted: self-signed certificate{ADVICE}"
    )
