"""`neurolink proxy start`: what it prints, each line of which works, what it serves, and how it refuses."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.cli.proxy.serve import StartInfo
from neurolink_mitm.cli.proxy.serve import greeting as greet
from neurolink_mitm.config.document import parse
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pauses import Pause
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.status.listening import IN_CLEAR
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.conftest import Running
from tests.cli.processes import MESSAGE, Program, Shell, port_of
from tests.fakes import FakeCluster, make_account, make_other, make_runtime
from tests.waiting import LIMIT, wait_until


def greeting(*accounts: Account, info: StartInfo = StartInfo(), **changes: Any) -> str:  # noqa: B008
    """What a start with this runtime says."""
    return greet(make_runtime(*accounts, **changes), info)


def test_a_paused_key_is_still_for_anybody_and_a_paused_login_is_not() -> None:
    assert "try it by hand" in greeting(make_account(paused=Pause()))
    login = make_account(token="sk-ant-oat-test-1", paused=Pause())
    assert "A subscription serves Claude Code only" in greeting(login)


def test_it_says_what_a_newer_python_would_bring() -> None:
    assert "\nNote: mitmproxy 12\n" in greeting(info=StartInfo(missed="mitmproxy 12"))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:55669"),
        ("localhost", "http://localhost:55669"),
        ("0.0.0.0", "http://127.0.0.1:55669"),  # noqa: S104 - a text to be turned into a URL
        ("", "http://127.0.0.1:55669"),
        ("::1", "http://[::1]:55669"),
        ("::", "http://[::1]:55669"),
    ],
)
def test_the_address_is_one_that_can_be_asked(host: str, url: str) -> None:
    assert f"\n  export ANTHROPIC_BASE_URL={url}\n" in greeting(host=host)


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 accounts"), (1, "1 account"), (2, "2 accounts")]
)
def test_accounts_are_counted(count: int, words: str) -> None:
    accounts = [make_account(str(n)) for n in range(count)]
    assert f"(fill-first, {words})" in greeting(*accounts).splitlines()[0]


def test_a_replica_says_what_it_is_part_of() -> None:
    said = greeting(make_account(), cluster=FakeCluster())
    assert "\nThis is one of 3 replicas of the cluster nl: `neurolink cluster status`" in said
    assert "replica" not in greeting(make_account())


def test_the_strategy_is_that_of_the_pool() -> None:
    assert "(round-robin, " in greeting(pool=Pool([], "round-robin"))


def test_passthrough_needs_no_account() -> None:
    said = greeting(passthrough=True)
    assert "(passthrough, each caller's own credentials)" in said
    assert "No account yet" not in said
    assert "-H 'x-api-key: <your API key>'" in said
    assert "ANTHROPIC_AUTH_TOKEN" not in said


@pytest.mark.parametrize("guarded", [True, False])
def test_a_client_key_is_named_where_it_is_asked_for(guarded: bool) -> None:
    said = greeting(make_account(), clients=(ClientKey("laptop", "0" * 64, 0),) if guarded else ())
    assert ("\n  export ANTHROPIC_AUTH_TOKEN=<client key>" in said) is guarded
    assert ("-H 'x-api-key: <client key>'" in said) is guarded


def test_the_page_is_named() -> None:
    url = "http://127.0.0.1:8081/?token=abc"
    assert f"\nWatch it in a browser: {url}\n" in greeting(info=StartInfo(web_url=url))


LOGIN = make_account("plan", type="oauth")
CURL = "Or try it by hand:"


@pytest.mark.parametrize(
    ("accounts", "curl"),
    [
        ([make_account()], True),
        ([LOGIN], False),
        ([LOGIN, make_account()], True),
        ([make_account(enabled=False)], False),
        ([make_account(disabled="by hand")], False),
        ([], False),
    ],
    ids=["key", "login", "both", "not enabled", "disabled", "none"],
)
def test_a_curl_is_proposed_where_somebody_serves_it(accounts: list[Account], curl: bool) -> None:
    said = greeting(*accounts)
    assert (CURL in said) is curl
    assert ("--add --method api-key" in said) is (not curl and bool(accounts))


def test_it_asks_for_a_model_that_is_not_excluded() -> None:
    said = greeting(make_account(excluded_models=("claude-sonnet-*",)))
    assert "claude-sonnet" not in said
    assert re.search(r'"model":"claude-[a-z]+-', said)


def test_a_fallback_serves_a_curl_too() -> None:
    chain = [{"provider": "openai", "model": "gpt-x"}]
    config = parse({"version": 1, "routing": {"fallbackChain": chain}}, {}).config
    assert CURL in greeting(pool=Pool([LOGIN], fallbacks=[make_other()]), config=config)
    without_key = make_other(disabled="OPENAI_API_KEY is not set")
    assert CURL not in greeting(pool=Pool([LOGIN], fallbacks=[without_key]), config=config)


def test_without_an_account_it_says_how_to_add_one() -> None:
    said = greeting(info=StartInfo(program=".venv/bin/neurolink"))
    assert "No account yet: run `.venv/bin/neurolink auth login anthropic` " in said
    assert "--method api-key" in said


@pytest.mark.parametrize("has_login", [True, False])
def test_a_token_is_proposed_to_a_claude_code_that_has_none(has_login: bool) -> None:
    said = greeting(make_account(), info=StartInfo(claude_logged_in=has_login))
    assert ("\n  export ANTHROPIC_AUTH_TOKEN=neurolink\n" in said) is not has_login


def test_no_line_to_paste_has_a_comment() -> None:
    """An interactive zsh takes no comments."""
    said = greeting(make_account(), info=StartInfo(sandbox="this is the sandbox"))
    assert [line for line in said.splitlines() if "#" in line] == []


KEY = "sk-ant-test-key"


def test_it_says_where_it_listens_and_how_to_use_it(running: Running) -> None:
    lines = running.program.said.splitlines()
    assert f"listens on {running.url} (fill-first, 3 accounts)" in lines[0]
    assert "sandbox" in lines[1]
    assert f"  export ANTHROPIC_BASE_URL={running.url}" in lines
    assert "  export ENABLE_TOOL_SEARCH=true" in lines
    assert [line for line in lines if line.startswith("  curl ") and running.url in line]


@pytest.mark.real("bash", "curl")
def test_the_curl_line_shows_a_failover(shell: Shell) -> None:
    """The sandbox limits its first account after two requests: the third call streams all the same."""
    proxy, _ = shell.serve("--sandbox")
    line = proxy.expect(r"\n *(curl .+)\n")[1]
    answers = [
        subprocess.run(
            ["bash", "-c", f"{line} -sS"],
            env=shell.environment, capture_output=True, text=True, timeout=LIMIT, check=True,
        ).stdout
        for _ in range(3)
    ]  # fmt: skip
    assert all(answer.startswith("HTTP/1.1 200 ") for answer in answers)
    assert all("event: message_stop" in answer for answer in answers)
    assert ["x-neurolink-attempts: 2" in answer for answer in answers] == [False, False, True]
    assert "x-neurolink-account: beta" in answers[2]
    proxy.expect(r"\[proxy\] <- 429 account=alpha")
    proxy.expect(r"\[proxy\] <- 200 account=beta")


def test_a_second_one_on_its_port_is_refused(running: Running) -> None:
    port = str(port_of(running.url))
    second = running.shell.run("proxy", "start", "--sandbox", "--port", port)
    assert second.process.returncode == 1
    pid = running.program.pid
    assert second.complained == (
        f"neurolink: already running at {running.url} (pid {pid});"
        " neurolink proxy stop ends it, another --port starts one beside it\n"
    )
    assert httpx.get(f"{running.url}/health").status_code == 200


def one_line(ended: Program) -> str:
    """What it said on stderr beside warnings, and nothing else anywhere."""
    assert ended.said == ""
    lines = [line for line in ended.complained.splitlines() if IN_CLEAR not in line]
    assert len(lines) == 1, ended.complained
    return lines[0]


def test_a_port_that_is_taken_is_named(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        ended = shell.run("proxy", "start", "--sandbox", "--port", port)
    assert ended.process.returncode == 1
    assert f"port {port}" in one_line(ended)
    assert not shell.state.exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_this_machines_is_named(shell: Shell, host: str) -> None:
    shell.variables["CLIENT_KEY"] = "sk-client-test"
    shell.write("proxy-config.yaml", "version: 1\nclients: {api-keys: ['${CLIENT_KEY}']}\n")
    ended = shell.run("proxy", "start", "--sandbox", "--host", host, "--port", "0")
    assert ended.process.returncode == 1
    assert f"can't listen on {host}:0" in one_line(ended)


def test_all_faults_of_a_configuration_are_named(shell: Shell) -> None:
    shell.write(
        "proxy-config.yaml",
        """
        version: 1
        accounts:
          anthropic:
            - {name: a, apiKey: "${NOT_SET}"}
            - {name: b, apiKey: sk-ant-test-b, weight: two}
        timeouts: {idle: -1}
        nonsense: 1
        """,
    )
    ended = shell.run("proxy", "start", "--port", "0")
    assert ended.process.returncode == 2
    assert ended.said == ""
    for fault in (
        "accounts.anthropic[0].apiKey: the variable NOT_SET is not set, neither in the environment nor in .env",
        "accounts.anthropic[1].weight: ",
        "timeouts.idle: ",
        "nonsense: ",
    ):
        assert f"\n  {fault}" in ended.complained


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--host", "0.0.0.0"], "clients.api-keys"),  # noqa: S104 - it is to refuse
        (["--strategy", "nonsense"], "nonsense"),
        (["--config", "not-there.yaml"], "not-there.yaml"),
    ],
    ids=["open-to-all", "strategy", "no-such-file"],
)
def test_what_can_not_be_meant_is_refused(shell: Shell, arguments: list[str], named: str) -> None:
    ended = shell.run("proxy", "start", "--sandbox", "--port", "0", *arguments)
    assert ended.process.returncode == 2
    assert ended.said == ""
    assert named in ended.complained


def test_broken_credentials_are_not_passed_over(shell: Shell) -> None:
    """Else the environment's key would be charged where a subscription was meant."""
    shell.variables["ANTHROPIC_API_KEY"] = KEY
    path = shell.write("tokens.json", "{")
    ended = shell.run("proxy", "start", "--port", "0")
    assert ended.process.returncode == 2
    assert str(path) in ended.complained
    assert path.read_text() == "{"


def test_without_a_home_it_says_what_to_set(shell: Shell) -> None:
    shell.variables["HOME"] = ""
    ended = shell.run("proxy", "start", "--sandbox", "--port", "0")
    assert ended.process.returncode == 2
    assert "NEUROLINK_HOME" in one_line(ended)


def test_a_home_that_is_a_file_is_named(shell: Shell) -> None:
    path = shell.home / "file"
    path.write_text("")
    shell.variables["NEUROLINK_HOME"] = str(path)
    ended = shell.run("proxy", "start", "--sandbox", "--port", "0")
    assert ended.process.returncode == 1
    assert str(path) in one_line(ended)


def test_without_an_account_a_request_is_told_how_to_add_one(shell: Shell) -> None:
    _, url = shell.serve()
    answer = httpx.post(f"{url}/v1/messages", json=MESSAGE)
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")
    hint = "neurolink auth login anthropic --add --method api-key"
    assert hint in answer.json()["error"]["message"]


def test_the_sandbox_stands_in_where_there_is_no_account(shell: Shell) -> None:
    proxy, url = shell.serve("--sandbox-if-empty")
    assert "no account yet" in proxy.said
    assert httpx.post(f"{url}/v1/messages", json=MESSAGE).status_code == 200


def test_the_sandbox_does_not_stand_in_where_there_is_an_account(
    shell: Shell, pool: Path, upstream: SandboxServer
) -> None:
    proxy, url = shell.serve("--sandbox-if-empty")
    assert "built-in sandbox" not in proxy.said
    assert "2 accounts" in proxy.said
    answer = httpx.post(f"{url}/v1/messages", json=MESSAGE)
    assert answer.content == upstream.requests[-1].answer


def test_quiet_says_nothing_while_all_goes_well(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client
) -> None:
    shell.variables["NEUROLINK_LOG_LEVEL"] = "DEBUG"  # --quiet counts
    proxy = shell.start("proxy", "start", "--quiet", "--port", "0")
    proxy_url = url_from_state(shell, proxy)
    assert client.post(f"{proxy_url}/v1/messages", json=MESSAGE).status_code == 200
    proxy.signal()
    assert proxy.exit_code() == 0
    assert (proxy.said, proxy.complained) == ("", "")


def url_from_state(shell: Shell, proxy: Program) -> str:
    wait_until(lambda: shell.state.exists() or not proxy.runs, f"it serves: {proxy}")
    return f"http://127.0.0.1:{json.loads(shell.state.read_text())['port']}"


def test_passthrough_leaves_the_callers_credentials(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client
) -> None:
    """No account of the pool is used, nothing is tried again; the row is written all the same."""
    upstream.script("b", Reply(), Reply(529))
    proxy, url = shell.serve("--passthrough")
    assert "(passthrough, " in proxy.said
    own = {"x-api-key": "sk-ant-test-b", "anthropic-version": "2023-06-01"}
    answer = client.post(f"{url}/v1/messages", json=MESSAGE, headers=own)
    assert (answer.status_code, answer.content) == (200, upstream.requests[-1].answer)
    assert client.post(f"{url}/v1/messages", json=MESSAGE, headers=own).status_code == 529
    assert client.post(f"{url}/v1/messages", json=MESSAGE).status_code == 404  # shows none
    assert [r.account for r in upstream.requests] == ["b", "b"]
    assert {r.header("x-api-key") for r in upstream.requests} == {"sk-ant-test-b"}

    proxy.signal()
    assert proxy.exit_code() == 0
    [log] = (shell.state.parent / "logs").glob("proxy-2*.jsonl")
    rows = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert [row["responseStatus"] for row in rows] == [200, 529, 404]


@pytest.fixture
def guarded(shell: Shell, pool: Path) -> str:
    """The URL of a proxy on all addresses, which has to ask its callers for a key."""
    shell.variables["CLIENT_KEY"] = "sk-client-test"
    pool.write_text(pool.read_text() + "clients: {api-keys: ['${CLIENT_KEY}']}\n")
    return shell.serve("--host", "0.0.0.0")[1]  # noqa: S104 - for the length of a test, with a key


def test_callers_must_show_a_key_where_one_is_set(guarded: str, client: httpx.Client) -> None:
    assert guarded == f"http://127.0.0.1:{port_of(guarded)}"
    ask = f"{guarded}/v1/messages"
    assert client.post(ask, json=MESSAGE).status_code == 401
    shown = {"authorization": "Bearer sk-client-test"}
    assert client.post(ask, json=MESSAGE, headers=shown).status_code == 200
    assert client.get(f"{guarded}/health").status_code == 200
    assert client.get(f"{guarded}/status").status_code == 401


def test_the_users_own_commands_need_no_client_key(guarded: str, shell: Shell) -> None:
    status = shell.run("proxy", "status")
    assert (status.process.returncode, status.complained) == (0, "")


def test_keys_come_from_the_env_file(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client
) -> None:
    keys = "".join(f"{name}={shell.variables.pop(name)}\n" for name in ("KEY_a", "KEY_b"))
    file = shell.write("keys.env", keys)
    proxy, url = shell.serve("--env-file", str(file))
    assert client.post(f"{url}/v1/messages", json=MESSAGE).status_code == 200
    assert upstream.requests[-1].header("x-api-key") == "sk-ant-test-a"
    assert "sk-ant-test" not in proxy.said + proxy.complained


@pytest.mark.parametrize("way", ["option", "variable"])
def test_an_env_file_that_is_not_there_is_named(shell: Shell, way: str) -> None:
    arguments = ["--env-file", "not-there.env"] if way == "option" else []
    if way == "variable":
        shell.variables["NEUROLINK_ENV_FILE"] = "not-there.env"
    ended = shell.run("proxy", "start", "--sandbox", "--port", "0", *arguments)
    assert ended.process.returncode == 2
    assert "not-there.env: no such file" in one_line(ended)


def test_other_commands_read_the_env_file_too(shell: Shell, pool: Path) -> None:
    shell.write(
        ".env", "".join(f"{name}={shell.variables.pop(name)}\n" for name in ("KEY_a", "KEY_b"))
    )
    listed = shell.run("auth", "list")
    assert (listed.process.returncode, listed.complained) == (0, "")
    assert [line.split()[0] for line in listed.said.splitlines()] == ["account", "a", "b"]
