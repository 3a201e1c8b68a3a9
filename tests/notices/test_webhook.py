from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.network import Network, read_network
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.notices.event import trial_event
from neurolink_mitm.notices.undelivered import Undelivered
from neurolink_mitm.notices.webhook import Webhook
from tests.connect_proxy import Authority
from tests.fakes import NOW
from tests.notices.receiver import Act, Receiver, close, drip, endless, hang, status

EVENT = trial_event("ntc_1", NOW)
SECRET = "hunter2hunter2"
NETWORK = Network()


@dataclass
class Pauses:
    """Passes at once, and remembers what was waited."""

    waited: list[float] = field(default_factory=list)

    async def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)


def send(url: str, limit: float = 5.0, **how: Any) -> tuple[str, list[float]]:
    """What came of it, and the pauses between the tries."""
    pauses = Pauses()
    webhook = Webhook(url, Secret(SECRET), NETWORK.client, pauses, limit, **how)
    try:
        result = asyncio.run(webhook.send(EVENT))
    except Undelivered as e:
        result = f"failed: {e}"
    return result, pauses.waited


def test_the_signature_is_over_the_bytes_that_are_sent() -> None:
    with Receiver(status(200)) as receiver:
        assert send(receiver.url) == ("HTTP 200", [])
        [request] = receiver.requests
    match = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", request.headers["x-neurolink-signature"])
    assert match
    assert abs(int(match[1]) - time.time()) < 60
    signed = f"{match[1]}.".encode() + request.body
    assert hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest() == match[2]
    assert request.headers["content-type"] == "application/json"
    assert (request.headers["x-neurolink-event"], request.headers["x-neurolink-delivery"]) == (
        "test",
        "ntc_1",
    )


@pytest.mark.parametrize(
    ("acts", "expected", "tries"),
    [
        ([status(500), status(503), status(200)], "HTTP 200", 3),
        ([status(429), status(204)], "HTTP 204", 2),
        ([close, status(200)], "HTTP 200", 2),
        ([status(500)], "failed: 127.0.0.1: HTTP 500", 3),
        ([status(400)], "failed: 127.0.0.1: HTTP 400", 1),
        ([status(410)], "failed: 127.0.0.1: HTTP 410", 1),
        (
            [status(302, location="/elsewhere")],
            "failed: 127.0.0.1: HTTP 302, and redirects are not followed",
            1,
        ),
        ([endless], "HTTP 200", 1),
    ],
    ids=["5xx", "429", "closed", "always 500", "400", "410", "redirect", "endless body"],
)
def test_what_is_tried_again(acts: list[Act], expected: str, tries: int) -> None:
    with Receiver(*acts) as receiver:
        assert send(receiver.url) == (expected, [1.0, 3.0][: tries - 1])
        assert len(receiver.requests) == tries
        assert len({request.body for request in receiver.requests}) == 1
        assert {request.path for request in receiver.requests} == {"/hook"}


@pytest.mark.parametrize("act", [hang, drip])
def test_a_try_is_bounded_in_all(act: Act) -> None:
    """Each byte that comes must not begin the time anew."""
    with Receiver(act) as receiver:
        result, pauses = send(receiver.url, limit=0.1)
    assert result == "failed: 127.0.0.1: no response within 0.1 s"
    assert len(pauses) == 2


def test_nobody_listens() -> None:
    result, pauses = send("http://127.0.0.1:1/a-path-that-is-a-secret?token=x")
    assert result.startswith("failed: 127.0.0.1: ConnectError")
    assert "secret" not in result
    assert len(pauses) == 2


def test_an_http_proxy_of_the_environment_is_used() -> None:
    with Receiver(status(200)) as proxy:
        network = read_network({"HTTP_PROXY": proxy.url})
        webhook = Webhook("http://hooks.example/x", Secret(SECRET), network.client, Pauses())
        assert asyncio.run(webhook.send(EVENT)) == "HTTP 200"
        assert [request.path for request in proxy.requests] == ["http://hooks.example/x"]


def test_only_a_trusted_certificate_is_accepted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Receiver(status(200), certificate=authority.certificate("localhost")) as receiver:
        assert "CERTIFICATE_VERIFY_FAILED" in send(receiver.url)[0]
        assert receiver.requests == []
        network = read_network({}, authority.path)
        webhook = Webhook(receiver.url, Secret(SECRET), network.client, Pauses())
        assert asyncio.run(webhook.send(EVENT)) == "HTTP 200"


def test_neither_the_url_nor_the_secret_is_in_its_repr() -> None:
    shown = repr(Webhook("http://h/hidden", Secret(SECRET), NETWORK.client))
    assert "hidden" not in shown
    assert SECRET not in shown
