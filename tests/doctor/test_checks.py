"""What is found out of real files, real processes and real sockets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import ProxyState, StateFile, process_start
from neurolink_mitm.core.status.probe_results import PortOwner, ProbeResults
from neurolink_mitm.doctor.checks import ProbeContext, claude_settings, run_probes
from neurolink_mitm.doctor.diagnostics import diagnose
from tests.adapters.tls_server import make_certificate, tls_server
from tests.connect_proxy import connect_proxy, dead_proxy
from tests.fakes import NOW

CONFIG = "version: 1\ndefaultBaseUrl: {url}\naccounts: {{anthropic: [{{name: a, apiKey: '${{KEY}}'}}]}}\n"
CHAIN = "routing: {fallback-chain: [{provider: openai, model: m}]}\n"


@pytest.fixture
def place(home: Path) -> Home:
    made = Home(home / ".neurolink")
    made.create()
    return made


def looking(home: Home | None, **changes: Any) -> ProbeContext:
    environ = {"HOME": str(home.root.parent) if home else "/nowhere", "KEY": "sk-ant-test-1"}
    look = ProbeContext(environ=environ, home=home, now=NOW, ask=lambda state: None, limit=10)
    return replace(look, **changes)


def unreached(home: Home) -> ProbeContext:
    """Where upstream is not asked: the way there is a proxy that is none."""
    look = looking(home)
    return replace(look, environ={**look.environ, "HTTPS_PROXY": "socks5://127.0.0.1:9"})


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def append(path: Path, text: str) -> Path:
    return write(path, path.read_text() + text)


def ids(results: ProbeResults) -> set[str]:
    return {each.id for each in diagnose(results) if each.level != "ok"}


def state(**changes: Any) -> ProxyState:
    """Of this very process."""
    pid = os.getpid()
    own = {"pid": pid, "pid_started": process_start(pid), "port": 9, "host": "127.0.0.1"}
    return ProxyState(**{**own, "strategy": "fill-first", "start_time": NOW} | changes)


def upstream(place: Home) -> Any:
    """Something that answers, so that nothing beyond this machine is asked."""
    listening = socket.create_server(("127.0.0.1", 0))
    write(place.config, CONFIG.format(url=f"http://127.0.0.1:{listening.getsockname()[1]}"))
    return listening


def test_a_home_where_all_is_well(place: Home) -> None:
    with upstream(place):
        results = run_probes(looking(place, skew=lambda *asked: 1.0))
    assert [account.label for account in results.accounts or ()] == ["a"]
    assert results.skew == 1.0
    assert "claude-* by anthropic:a" in (results.other_tools or "")
    assert "other-tools" in {each.id for each in diagnose(results)}
    assert results.unchecked == {}
    assert ids(results) <= {"proxy-down", "port-taken", "disk-low", "mitmproxy-old"}


def test_no_home_at_all() -> None:
    results = run_probes(looking(None))
    assert results.home is None
    assert "home-unset" in ids(results)


def test_a_home_that_is_a_file(home: Path) -> None:
    write(home / "file", "")
    results = run_probes(unreached(Home(home / "file")))
    assert "home-unusable" in ids(results)


@pytest.mark.parametrize(
    ("change", "id_"),
    [
        (lambda h: h.root.chmod(0o755), "home-open"),
        (lambda h: write(h.tokens, '{"version":"2.0","providers":{}}', 0o644), "file-open"),
        (lambda h: write(h.env, "A=1", 0o640), "file-open"),
        (lambda h: write(h.logs / "proxy-2026-01-01.jsonl", "", 0o604), "file-open"),
        (lambda h: write(h.tokens, "{"), "file-broken"),
        (lambda h: write(h.cooldowns, "{"), "file-broken"),
        (lambda h: write(h.state, "{"), "file-broken"),
        (lambda h: h.quotas.mkdir(), "file-broken"),
        (lambda h: write(h.clients, "{"), "file-broken"),
        (lambda h: write(h.spend, "{"), "file-broken"),
        (lambda h: append(h.config, CHAIN), "fallback-unusable"),
        (lambda h: write(h.config, "version: 2\n"), "config-fault"),
        (lambda h: write(h.config, "clients: {api-keys: [plain]}\n"), "config-warning"),
        (lambda h: write(h.root / "tokens.json.corrupt-1760000000", ""), "leftover-corrupt"),
        (lambda h: write(h.root / ".tokens.json.abc.tmp", ""), "leftover-temporary"),
        (lambda h: h.config.unlink(), "accounts-none"),
    ],
    ids=["home-open", "tokens-open", "env-open", "log-open", "tokens-broken", "cooldowns-broken",
         "state-broken", "quotas-is-a-directory", "clients-broken", "spend-broken",
         "no-key-of-another-provider", "config-fault", "config-warning", "corrupt",
         "temporary", "no-account"],
)  # fmt: skip
def test_one_thing_is_wrong(place: Home, change: Callable[[Home], object], id_: str) -> None:
    with upstream(place):
        change(place)
        results = run_probes(unreached(place))
    assert id_ in ids(results)


def test_nothing_is_changed(place: Home) -> None:
    with upstream(place):
        for path in (place.tokens, place.cooldowns, place.quotas, place.state):
            write(path, "{")
        before = {path: path.read_text() for path in place.root.iterdir()}
        run_probes(looking(place))
        assert {path: path.read_text() for path in place.root.iterdir()} == before


def test_a_proxy_that_runs_is_asked(place: Home) -> None:
    StateFile(place.state).write(state(guard_pid=os.getpid()))
    status = {"config": {"errors": []}, "stats": {"accounts": []}, "clockSkew": 99}
    with upstream(place):
        results = run_probes(looking(place, ask=lambda state: status, skew=lambda url: 1.0))
    assert results.proxy
    assert (results.proxy.alive, results.proxy.status) == (True, status)
    assert results.proxy.guard_alive
    assert results.skew == 99


def test_a_proxy_that_has_ended(place: Home) -> None:
    ended = subprocess.run([sys.executable, "-c", ""], check=True)
    assert ended.returncode == 0
    StateFile(place.state).write(state(pid=2**22 - 1, pid_started=1.0, guard_pid=2**22 - 2))
    with upstream(place):
        results = run_probes(looking(place))
    assert results.proxy
    assert not results.proxy.alive
    assert not results.proxy.guard_alive
    assert "leftover-state" in ids(results)


def test_the_port_is_another_programs(place: Home) -> None:
    with upstream(place), socket.create_server(("127.0.0.1", 0)) as other:
        results = run_probes(looking(place, port=other.getsockname()[1]))
    assert results.proxy
    assert isinstance(results.proxy.port_owner, PortOwner)
    assert results.proxy.port_owner.pid == os.getpid()
    assert "port-taken" in ids(results)


def test_each_upstream_is_reached_once_and_the_certificate_verified(
    place: Home, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    with tls_server(certificate) as port:
        url = f"https://localhost:{port}"
        one = "{{name: {}, apiKey: '${{KEY}}{}', baseUrl: '{}'}}"
        accounts = [one.format(name, name, base) for name, base in
                    (("a", url), ("b", url), ("c", "https://no-such-name.invalid"))]  # fmt: skip
        write(place.config, f"accounts: {{anthropic: [{', '.join(accounts)}]}}\n")
        look = looking(place)
        environ = {**look.environ, "SSL_CERT_FILE": str(certificate)}
        trusting = run_probes(replace(look, environ=environ))
        usual = run_probes(looking(place))
    reached = [(each.url, each.reached) for each in trusting.upstreams]
    assert reached == [(url, "ok"), ("https://no-such-name.invalid", "name")]
    assert usual.upstreams[0].reached == "certificate"


def test_an_upstream_behind_proxies_is_reached_through_each(place: Home) -> None:
    one = "{{name: {}, apiKey: '${{KEY}}{}', baseUrl: 'https://x.invalid', proxyUrl: '{}'}}"
    with connect_proxy(login="me:p") as proxy:
        way = f"me:wrong@{proxy.address}"
        accounts = ", ".join(one.format(name, name, way) for name in "ab")
        write(place.config, f"accounts: {{anthropic: [{accounts}]}}\n")
        [found] = run_probes(looking(place)).upstreams
    assert (found.url, found.reached) == ("https://x.invalid", "proxy")
    assert "(proxyUrl) does not take this user and password" in found.detail
    assert "wrong" not in found.detail


def test_providers_with_an_address_of_their_own_are_reached_as_well(place: Home) -> None:
    with upstream(place) as listening:
        anthropic = f"http://127.0.0.1:{listening.getsockname()[1]}"
        other = "providers: {openai: {baseUrl: 'http://127.0.0.1:9/v1'}, groq: {}}\n"
        place.config.write_text(place.config.read_text() + other)
        found = run_probes(looking(place)).upstreams
    assert [(each.url, each.reached) for each in found] == [
        (anthropic, "ok"),
        ("http://127.0.0.1:9/v1", "connect"),
    ]


@pytest.mark.parametrize("by_file", [False, True], ids=["environment", "env-file"])
def test_the_environments_proxy_is_tried(place: Home, by_file: bool) -> None:
    """With no account at all, and for an upstream beyond this machine."""
    write(place.config, "defaultBaseUrl: https://x.invalid\n")
    look = looking(place)
    with dead_proxy() as address:
        if by_file:
            write(place.env, f"HTTPS_PROXY={address}\n")
        else:
            look = replace(look, environ={**look.environ, "HTTPS_PROXY": address})
        [found] = run_probes(look).upstreams
    assert found.reached == "proxy"
    assert f"http://{address} (HTTPS_PROXY) can't be reached" in found.detail


def test_authorities_that_can_not_be_read_are_told(place: Home) -> None:
    with upstream(place):
        look = looking(place)
        environ = {**look.environ, "REQUESTS_CA_BUNDLE": "/no/such.pem"}
        results = run_probes(replace(look, environ=environ))
    assert results.config
    assert results.config.warnings == ("REQUESTS_CA_BUNDLE: /no/such.pem is not there: left out",)


def test_a_cluster_without_key_and_redis_is_told(place: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    write(place.config, f"version: 1\ncluster: {{url: 'redis://127.0.0.1:{port}/0'}}\n")
    findings = {each.id: each for each in diagnose(run_probes(unreached(place)))}
    assert "cluster.key is missing" in findings["config-fault"].text
    assert "redis-cli" in findings["cluster-away"].fix


def test_what_hangs_is_left_out(place: Home) -> None:
    def hangs(*asked: object) -> float | None:
        with socket.create_server(("127.0.0.1", 0)) as never:
            never.settimeout(10)
            never.accept()
        return None

    with upstream(place):
        results = run_probes(looking(place, limit=0.5, skew=hangs))
    assert results.unchecked == {"the clock": "not done within 0 s"}
    assert "unchecked" in ids(results)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, None),
        ("{}", None),
        (
            "{",
            "is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        ),
        ("[]", "is no object with an object `env` in it"),
        ('{"env": []}', "is no object with an object `env` in it"),
        ("[" * 100_000, "is no JSON"),
    ],
    ids=["none", "empty", "cut", "list", "env-is-a-list", "deep"],
)
def test_claude_codes_settings(home: Path, text: str | None, fault: str | None) -> None:
    if text is not None:
        write(home / ".claude" / "settings.json", text)
    found = claude_settings({"HOME": str(home)})
    assert found
    assert (found.present, found.fault) == (text is not None, fault)


def test_where_claude_codes_settings_point(home: Path) -> None:
    path = home / "claude" / "settings.json"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        write(path, json.dumps({"env": {"ANTHROPIC_BASE_URL": url, "OTHER": "1"}}))
        found = claude_settings({"CLAUDE_CONFIG_DIR": str(path.parent)})
        assert found
        assert (found.env, found.answered) == ({"ANTHROPIC_BASE_URL": url}, True)
    left = claude_settings({"CLAUDE_CONFIG_DIR": str(path.parent)})
    assert left
    assert left.answered is False


@pytest.mark.parametrize("url", ["https://gateway.example.com", "nonsense", "http://[", ""])
def test_nobody_is_asked_beyond_this_machine(home: Path, url: str) -> None:
    write(home / ".claude" / "settings.json", json.dumps({"env": {"ANTHROPIC_BASE_URL": url}}))
    found = claude_settings({"HOME": str(home)})
    assert found
    assert found.answered is None


def test_an_environment_that_names_no_place_for_settings() -> None:
    assert claude_settings({}) is None
