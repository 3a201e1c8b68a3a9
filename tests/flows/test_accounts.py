"""Commands beside a proxy that runs, each a process of its own: what they change takes effect at once."""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.core.auth.oauth import MAX_FAILURES
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.state import KEY_ENDPOINT, TOKEN_ENDPOINT
from tests.cli.processes import NEUROLINK
from tests.flows.harness import LIMIT, message
from tests.flows.live import KEY, TOKEN, Gate, Live, Streaming, live
from tests.waiting import wait_until

AHEAD_ENDS = 600
"""Seconds: a token that ends so soon is renewed first."""
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Live]:
    with live(tmp_path / "live") as machine:
        yield machine


def test_logins_come_and_go_without_a_restart(machine: Live) -> None:
    """And without dropping the answer that is under way all the while."""
    shown = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    answer = httpx.post(
        f"{machine.upstream.url}/v1/messages", json=message(), headers=shown
    ).content
    machine.keep_key()
    with Gate(answer) as gate:
        first = f"{{name: slow, apiKey: {KEY}-slow, baseUrl: '{gate.url}', priority: 1, maxConcurrent: 1}}"
        machine.configure(f"accounts: {{anthropic: [{first}]}}")
        proxy = machine.serve()
        stream = Streaming(machine.url)
        commands_take_effect(machine)
        assert proxy.runs
        assert stream.is_alive()
        gate.opened.set()
        stream.join(LIMIT)
    assert stream.received == answer


def commands_take_effect(machine: Live) -> None:
    machine.login("--add", "--label", "work")
    machine.until(served_by="work")
    machine.run("auth", "disable", "work")
    machine.until(served_by="key")
    machine.run("auth", "enable", "work")
    machine.until(served_by="work")
    machine.run("auth", "pause", "work", "--for", "1h", "--reason", "meeting")
    machine.until(served_by="key")
    assert re.match(r"paused until \S+Z: meeting", machine.reason("work") or "")
    machine.run("auth", "resume", "work")
    machine.until(served_by="work")
    machine.run("auth", "logout", "work", "--force")
    machine.until(served_by="key")
    machine.login("--add", "--label", "again")
    machine.until(served_by="again")


def test_a_token_that_is_refused_is_renewed(machine: Live) -> None:
    """However long it was to last."""
    machine.keep()
    machine.upstream.expire("plan")
    machine.serve()
    answer = machine.ask()
    assert (answer.status_code, answer.headers["x-neurolink-attempts"]) == (200, "2")
    assert machine.refreshes() == 1
    [kept] = machine.store.read().stored
    assert kept.access_token.reveal() != TOKEN


def test_no_request_has_more_than_five_tokens_renewed(machine: Live) -> None:
    machine.keep()
    machine.keep_key()
    machine.upstream.script("plan", Reply(401))
    machine.serve()
    assert machine.served_by() == "key"
    assert machine.refreshes() == 5
    assert re.match(r"refused credential \(401\)", machine.reason() or "")


def fail_for_the_last_time(machine: Live) -> None:
    """All but two of the failures came in earlier runs; one now from a command, the last from the proxy."""
    machine.keep(ends_in=-60)
    machine.keep_key()
    machine.upstream.script_tokens(Reply(500))
    for _ in range(MAX_FAILURES - 2):
        machine.store.note_failure("plan")
    assert "500" in machine.run("auth", "refresh", "anthropic", "plan", code=1)
    assert machine.store.failures("plan") == MAX_FAILURES - 1
    machine.serve()
    wait_until(lambda: str(machine.reason()).startswith("disabled: 15 "), "it is disabled")
    machine.upstream.script_tokens(Reply())


def test_fifteen_failures_disable_an_account(machine: Live) -> None:
    fail_for_the_last_time(machine)
    assert machine.served_by() == "key"
    assert "disabled: 15 refreshes failed in a row" in machine.run("proxy", "status")
    assert "disabled: 15 refreshes failed in a row" in machine.run("auth", "list")
    assert "1 disabled (plan)" in machine.run("auth", "status")
    machine.stop()
    machine.serve()
    asked = machine.refreshes()
    assert machine.served_by() == "key"
    assert "disabled: 15 refreshes failed in a row" in (machine.reason() or "")
    assert machine.refreshes() == asked


def test_enable_clears_fifteen_failures(machine: Live) -> None:
    """At once, however long the proxy meant to leave the token endpoint alone."""
    fail_for_the_last_time(machine)
    machine.run("auth", "enable", "plan")
    machine.until(served_by="plan")
    assert machine.store.failures("plan") == 0


def test_a_login_clears_fifteen_failures(machine: Live) -> None:
    fail_for_the_last_time(machine)
    machine.login("--label", "plan")
    machine.until(served_by="plan")
    assert machine.store.failures("plan") == 0


def test_a_revoked_login_is_shown_until_there_is_another(machine: Live) -> None:
    machine.keep(ends_in=AHEAD_ENDS)
    machine.keep_key()
    machine.upstream.revoke("plan")
    machine.serve()
    wait_until(lambda: "needs login" in str(machine.reason()), "it needs a login")
    assert machine.refreshes() == 1
    assert machine.served_by() == "key"
    assert "needs login: 127.0.0.1 answered 400: invalid_grant" in machine.run("proxy", "status")
    assert "needs login: " in machine.run("auth", "list")
    assert "neurolink auth login anthropic --label plan" in machine.run("auth", "status")
    machine.login("--label", "plan")
    machine.until(served_by="plan")
    assert machine.reason() is None
    assert "2 accounts: 2 ready" in machine.run("auth", "status")


@pytest.mark.skipif(sys.platform != "linux", reason="prlimit changes another process on Linux only")
def test_tokens_are_written_once_the_disk_has_room_again(machine: Live) -> None:
    """The disk is full for whatever is as long as the store: the proxy's log still fits."""
    machine.keep(ends_in=86400)
    whole = machine.home.tokens.read_text()
    filler = '"providers":{"other:x":{"notes":"' + "x" * 100_000 + '"},'
    machine.home.tokens.write_text(whole.replace('"providers":{', filler))
    proxy = machine.serve()
    assert machine.served_by() == "plan"
    before = machine.home.tokens.read_text()
    machine.upstream.expire("plan")
    limits = resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    assert machine.served_by() == "plan"
    why = f"can't write {machine.home.tokens}: File too large"
    found = machine.account()
    assert found
    assert found["unwritten"] == why
    assert machine.home.tokens.read_text() == before
    assert f"plan: ITS NEW TOKENS ARE NOT ON DISK: {why}\n" in machine.run("proxy", "status")
    assert "account=plan: ITS NEW TOKENS ARE NOT ON DISK (" in proxy.complained
    machine.configure("timeouts: {idle: 77}")
    proxy.expect("timeouts.idle: 300 -> 77")
    assert machine.served_by() == "plan"
    assert machine.refreshes() == 1
    resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, limits)
    wait_until(lambda: (machine.account() or {})["unwritten"] is None, "it is written")
    proxy.expect("account=plan: its new tokens are on disk now")
    assert machine.refreshes() == 1
    machine.stop()
    machine.serve()
    assert machine.served_by() == "plan"
    assert machine.refreshes() == 1


def test_a_key_made_through_a_login_serves_other_clients(machine: Live) -> None:
    """The login itself is not kept; a subscription would not serve them."""
    said = machine.login("--method", "create-api-key", "--label", "made")
    assert said == "API key of plan@example.com stored as 'made'; a running proxy uses it at once\n"
    machine.serve()
    answer = httpx.post(f"{machine.url}/v1/messages", json=message(), timeout=LIMIT)
    assert (answer.status_code, answer.headers["x-neurolink-account"]) == (200, "made")
    assert machine.upstream.requests[-1].account == "plan-key-1"
    assert [login.type for login in machine.store.read().stored] == ["api_key"]


def test_a_login_that_may_create_no_key_leaves_nothing(machine: Live) -> None:
    machine.upstream.script(KEY_ENDPOINT, Reply(403))
    said = machine.refused("auth", "login", "anthropic", "--method", "create-api-key")
    assert "this login may not create API keys (127.0.0.1 answered 403: permission_error" in said
    assert not machine.home.tokens.exists()


def test_a_setup_token_serves_until_it_ends(machine: Live) -> None:
    """It can't be renewed: once it is refused the next account serves."""
    machine.shell.variables["CLAUDE_CODE_OAUTH_TOKEN"] = TOKEN
    machine.keep_key()
    machine.serve()
    machine.login("--method", "setup-token", "--add", "--label", "long")
    machine.until(served_by="long")
    machine.upstream.expire("plan")
    assert machine.served_by() == "key"
    assert machine.refreshes() == 0
    assert "refused credential (401)" in (machine.reason("long") or "")
    assert TOKEN not in machine.run("auth", "list")


def bound_by_modes() -> tuple[str, ...]:
    """Starts a program for which a read-only directory is one, even if root runs these tests."""
    if os.geteuid() != 0:
        return NEUROLINK
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", *NEUROLINK)


@pytest.mark.real("setpriv")
def test_a_read_only_home_stops_no_request(machine: Live) -> None:
    """Neither the lock of the refresh nor the new tokens can be written."""
    machine.keep()
    proxy = machine.serve(program=bound_by_modes())
    assert machine.served_by() == "plan"
    machine.upstream.expire("plan")
    machine.home.root.chmod(0o500)
    try:
        assert machine.served_by() == "plan"
        assert "Permission denied" in (machine.account() or {})["unwritten"]
        assert "ITS NEW TOKENS ARE NOT ON DISK" in machine.run("proxy", "status")
    finally:
        machine.home.root.chmod(0o700)
    wait_until(lambda: (machine.account() or {})["unwritten"] is None, "it is written")
    assert proxy.runs
    [kept] = machine.store.read().stored
    assert kept.access_token.reveal() != TOKEN
    assert machine.refreshes() == 1


def test_a_proxy_killed_in_a_refresh_leaves_nothing_in_the_way(machine: Live) -> None:
    """No lock, and no half a file; the refresh token was not spent."""
    machine.keep(ends_in=-60)
    machine.upstream.script_tokens(Reply(503, delay=60), Reply())
    machine.serve().expect("listens on")
    # not when its head is seen: killed before its body was, it would leave the long answer to the next
    wait_until(lambda: machine.upstream.state.served(TOKEN_ENDPOINT), "it refreshes")
    assert machine.program
    machine.program.kill()
    machine.serve()
    assert machine.served_by() == "plan"
    assert machine.refreshes() == 2


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_all_files_are_their_owners_alone(machine: Live, umask: int) -> None:
    before = os.umask(umask)
    try:
        machine.login("--label", "plan")
        machine.serve()
        machine.upstream.expire("plan")
        machine.upstream.script("plan", Reply(), Reply(429, headers={"retry-after": "60"}))
        assert machine.served_by() == "plan"
        assert machine.ask().status_code == 429
        machine.run("auth", "disable", "plan")
        machine.stop()
    finally:
        os.umask(before)
    found = {path.name: path.stat().st_mode & 0o077 for path in machine.home.root.rglob("*")}
    assert found.keys() >= {"tokens.json", "cooldowns.json", "logs"}
    assert {name for name, others in found.items() if others} == set()
