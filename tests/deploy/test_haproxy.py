"""The balancer's configuration, checked by HAProxy and tried with it."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.adapters.tls_server import make_certificate
from tests.deploy.balancer import CONFIGURATION, GAP, Balancer, ScriptedReplica
from tests.waiting import wait_until

pytestmark = [pytest.mark.real("haproxy"), pytest.mark.timeout(60)]

Pool = tuple[Balancer, list[ScriptedReplica]]


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with ExitStack() as stack:
        replicas = [stack.enter_context(ScriptedReplica()) for _ in range(3)]
        log = tmp_path / "haproxy.log"
        balancer = stack.enter_context(Balancer([each.address for each in replicas], log))
        yield balancer, replicas


def by_session(balancer: Balancer, sessions: Sequence[str]) -> dict[str, str]:
    """Return which replica has served each session."""
    with httpx.Client(base_url=balancer.url, timeout=20) as client:
        served = {}
        for session in sessions:
            headers = {"x-claude-code-session-id": session}
            response = client.post("/v1/messages", content=b"{}", headers=headers)
            assert response.status_code == 200, response.text
            served[session] = response.headers["x-replica"]
        return served


SESSIONS = [f"session-{n}" for n in range(60)]


@pytest.mark.parametrize(
    "variables",
    [
        {f"NEUROLINK_REPLICA_{n}": f"127.0.0.1:{n}" for n in (1, 2, 3)},
        {"NEUROLINK_SERVICE": "localhost:55669"},
    ],
    ids=["compose", "kubernetes"],
)
def test_haproxy_finds_nothing_wrong(variables: dict[str, str]) -> None:
    command = ["haproxy", "-c", "-q", "-dW", "-f", str(CONFIGURATION)]
    checked = subprocess.run(
        command,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_example_of_tls_is_good(tmp_path: Path) -> None:
    """The comment in the file, with a certificate."""
    certificate = make_certificate(tmp_path)
    text = CONFIGURATION.read_text()
    [example] = re.findall(r"^    #   (bind .*)$", text, re.MULTILINE)
    configuration = tmp_path / "haproxy.cfg"
    example = example.replace("/run/secrets/balancer.pem", str(certificate))
    configuration.write_text(re.sub(r"^    bind .*$", f"    {example}", text, flags=re.MULTILINE))
    variables = {f"NEUROLINK_REPLICA_{n}": f"127.0.0.1:{n}" for n in (1, 2, 3)}
    subprocess.run(
        ["haproxy", "-c", "-q", "-dW", "-f", str(configuration)],
        env={**os.environ, **variables}, check=True, timeout=20,
    )  # fmt: skip


def test_a_session_stays_with_its_replica_and_moves_when_that_goes(pool: Pool) -> None:
    """Only its own sessions move, no request fails while HAProxy has yet to notice, and they come back."""
    balancer, replicas = pool
    before = by_session(balancer, SESSIONS)
    assert by_session(balancer, SESSIONS) == before
    assert min(Counter(before.values()).values()) > len(SESSIONS) // 10

    replicas[0].end()
    gone = str(replicas[0].port)
    after = by_session(balancer, SESSIONS)
    assert gone not in after.values()
    moved = {session for session in SESSIONS if before[session] != after[session]}
    assert moved == {session for session, port in before.items() if port == gone}


def test_a_draining_replica_gets_nothing_new_and_its_streams_go_on(pool: Pool) -> None:
    balancer, replicas = pool
    before = by_session(balancer, SESSIONS)
    draining = replicas[1]
    [session, *_] = [name for name, port in before.items() if port == str(draining.port)]
    headers = {"x-claude-code-session-id": session, "x-slow": "yes"}
    with httpx.stream("POST", f"{balancer.url}/v1/messages", headers=headers, timeout=20) as stream:
        draining.is_ready = False
        wait_until(lambda: by_session(balancer, [session])[session] != str(draining.port), "moved")
        assert stream.read().count(b"data:") == 3
    draining.is_ready = True
    wait_until(lambda: by_session(balancer, [session]) == {session: before[session]}, "came back")


def test_events_come_as_they_are_sent(pool: Pool) -> None:
    balancer, _ = pool
    url, headers = f"{balancer.url}/v1/messages", {"x-slow": "yes"}
    with httpx.stream("POST", url, headers=headers, timeout=20) as stream:
        arrivals = [time.monotonic() for _ in stream.iter_raw()]
    gaps = [after - before for before, after in pairwise(arrivals)]
    assert len(arrivals) >= 3
    assert min(gaps[:2]) > GAP / 2


def test_a_body_goes_on_as_it_comes(pool: Pool) -> None:
    """The replica has the head of a request before its body is whole."""
    balancer, replicas = pool
    whole = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"{"
        wait_until(lambda: sum(len(each.served) for each in replicas), "a replica has the head", 20)
        whole.set()
        yield b"}"

    headers = {"content-length": "2"}
    httpx.post(f"{balancer.url}/v1/messages", content=body(), headers=headers, timeout=30)
    assert whole.is_set()


def test_a_caller_that_hangs_up_frees_its_replica(pool: Pool) -> None:
    balancer, replicas = pool
    for replica in replicas:
        replica.silence = 30
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{balancer.url}/v1/messages", content=b"{}", timeout=0.5)
    wait_until(lambda: sum(each.left for each in replicas), "the replica sees that it has gone", 5)


def test_what_a_replica_may_have_sent_upstream_is_not_sent_again(pool: Pool) -> None:
    """The replica ends with the request in hand."""
    balancer, replicas = pool
    for replica in replicas:
        replica.answers = False
    assert httpx.post(f"{balancer.url}/v1/messages", content=b"{}", timeout=20).status_code == 502
    assert sum(len(each.served) for each in replicas) == 1


def test_requests_without_a_session_go_round(pool: Pool) -> None:
    balancer, replicas = pool
    for _ in range(6):
        assert httpx.get(f"{balancer.url}/v1/models", timeout=20).status_code == 200
    assert min(len(each.served) for each in replicas) > 0


@pytest.mark.parametrize(
    "path",
    ["/status", "/STATUS", "/status?x=1", "/metrics", "/admin/reset", "/admin/dashboard-link"],
)
def test_what_is_for_inside_stays_inside(path: str, pool: Pool) -> None:
    balancer, replicas = pool
    assert httpx.post(f"{balancer.url}{path}", timeout=20).status_code == 404
    assert [each.served for each in replicas] == [[], [], []]


def test_without_a_replica_the_balancer_is_not_ready(pool: Pool) -> None:
    balancer, replicas = pool
    for replica in replicas:
        replica.is_ready = False
    wait_until(lambda: not balancer.ready(), "not ready", 10)
    assert httpx.get(f"{balancer.url}/v1/models", timeout=20).status_code == 503
