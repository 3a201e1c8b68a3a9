"""The same stack inside mitmproxy's own programs."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from mitmproxy.io import FlowReader

from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.browser import browser
from tests.cli.processes import MESSAGE, ROOT, Shell
from tests.waiting import LIMIT

SCREENSHOT = os.environ.get("SCREENSHOT")
MITMDUMP, MITMWEB = (str(Path(sys.executable).parent / name) for name in ("mitmdump", "mitmweb"))


def taken(port: int) -> AbstractContextManager[object]:
    """The port, held from now on. Other tests give it back; who keeps it for longer is the one that holds it."""
    deadline = time.monotonic() + LIMIT / 2
    while time.monotonic() < deadline:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            time.sleep(0.05)
    return nullcontext()


def test_the_page_and_the_proxy_work(shell: Shell, client: httpx.Client) -> None:
    """mitmweb's own port may be taken."""
    with taken(8081):
        proxy, url = shell.serve("--inspect", "--sandbox")
        page = proxy.expect(r"Watch it in a browser: (\S+)\n")[1]
        assert ":8081/" not in page
        assert client.get(page).status_code == 200
        bare = page.partition("?")[0]
        assert httpx.get(bare).status_code == 403

        answer = client.post(f"{url}/v1/messages", json=MESSAGE)
        assert answer.status_code == 200
        assert b"event: message_stop" in answer.content
        [flow] = client.get(f"{bare}flows").json()
        assert flow["response"]["status_code"] == 200
        assert "sk-ant-" not in json.dumps(flow)
        proxy.signal()
        assert proxy.exit_code() == 0


@pytest.mark.parametrize("path", ["", "flows", "flows/dump", "options", "updates", "static/app.js"])
@pytest.mark.parametrize("token", ["", "?token=", "?token=00000000000000000000000000000000"])
def test_nothing_of_the_page_opens_without_its_token(page: str, path: str, token: str) -> None:
    address = page.partition("?")[0]
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
               "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}  # fmt: skip
    fields = upgrade if path == "updates" else {}
    refused = httpx.get(f"{address}{path}{token}", headers=fields)
    static = path.startswith("static/") and refused.status_code == 404  # the same for everybody
    assert refused.status_code == 403 or static


def test_the_page_opens_with_its_token(page: str, client: httpx.Client) -> None:
    """In the address, and from then on by the cookie; also as a bearer."""
    address, _, token = page.partition("?token=")
    assert httpx.get(f"{address}flows", headers={"authorization": f"Bearer {token}"}).json() == []
    assert "mitmproxy" in client.get(page).text
    assert client.get(f"{address}flows").json() == []


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of `mitmweb -s`, as it says where it is."""
    with Shell(tmp_path_factory.mktemp("page") / "shell") as shell, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        script = str(ROOT / "addons" / "neurolink.py")
        shell.variables["PYTHONUNBUFFERED"] = "1"
        options = ["-p", "0", "--web-port", port, "--set", "web_open_browser=false"]
        mitmweb = shell.start("-s", script, *options, program=(MITMWEB,))
        yield mitmweb.expect(rf"(http://127\.0\.0\.1:{port}/\?token=\w+)")[1]


def watch(shell: Shell, *arguments: str) -> tuple[str, str]:
    """A proxy inside mitmweb: its URL, and that of the page's list of flows."""
    proxy, url = shell.serve("--inspect", *arguments)
    address, _, token = proxy.expect(r"Watch it in a browser: (\S+)\n")[1].partition("?")
    return url, f"{address}flows?{token}"


def test_no_credential_is_shown_or_saved_while_the_answer_is_on_its_way(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client
) -> None:
    """Neither the account's nor the caller's; upstream gets the real one all the same."""
    url, flows = watch(shell)
    upstream.script("a", Reply(429, headers={"retry-after": "60"}))
    upstream.script("b", Reply(stall_after=2))
    own = {"x-api-key": "sk-ant-test-callers-own", "cookie": "session=sk-ant-test-callers-own"}
    with client.stream("POST", f"{url}/v1/messages", json=MESSAGE, headers=own) as answer:
        assert answer.headers["x-neurolink-account"] == "b"
        listed, saved = httpx.get(flows).text, httpx.get(flows.replace("flows?", "flows/dump?"))
        assert not upstream.requests[-1].done
    [flow] = json.loads(listed)
    assert "sk-ant-" not in listed
    [kept] = FlowReader(BytesIO(saved.content)).stream()
    assert (kept.id, kept.comment) == (flow["id"], "b, after a (429)")
    assert b"sk-ant-" not in saved.content
    assert flow["comment"] == "b, after a (429)"
    assert dict(flow["request"]["headers"])["x-api-key"] == "***"
    assert [request.account for request in upstream.requests] == ["a", "b"]


def test_passthrough_sends_the_callers_credential_and_shows_stars(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client
) -> None:
    url, flows = watch(shell, "--passthrough")
    own = {"x-api-key": "sk-ant-test-b", "anthropic-version": "2023-06-01"}
    assert client.post(f"{url}/v1/messages", json=MESSAGE, headers=own).status_code == 200
    assert upstream.requests[-1].account == "b"
    assert "sk-ant-" not in httpx.get(flows).text


def test_the_users_own_commands_work_while_watched(shell: Shell, pool: Path) -> None:
    """They show a token of their own, which is starred, too."""
    _, flows = watch(shell)
    reset = shell.run("proxy", "reset", "a")
    assert (reset.process.returncode, reset.said) == (0, "reset: a\n"), reset
    assert shell.run("proxy", "status").process.returncode == 0
    listed = httpx.get(flows).text
    assert json.loads(shell.state.read_text())["adminToken"] not in listed
    assert [flow["request"]["path"] for flow in json.loads(listed)] == ["/admin/reset?account=a"]


def test_a_client_key_is_still_asked_for(shell: Shell, pool: Path, client: httpx.Client) -> None:
    pool.write_text(pool.read_text() + "clients: {api-keys: [a-client-key]}\n")
    url, flows = watch(shell)
    codes = [
        client.post(f"{url}/v1/messages", json=MESSAGE, headers={"x-api-key": key}).status_code
        for key in ("a-client-key", "another", "***")
    ]
    assert codes == [200, 401, 401]
    assert "a-client-key" not in httpx.get(flows).text


@pytest.mark.timeout(180)
@pytest.mark.real("browser")
def test_in_a_real_browser(shell: Shell, tmp_path: Path, client: httpx.Client) -> None:
    """What docs/inspect.png shows; SCREENSHOT=docs/inspect.png takes it anew."""
    proxy, url = shell.serve("--inspect", "--sandbox")
    page = proxy.expect(r"Watch it in a browser: (\S+)\n")[1]
    with browser(tmp_path) as window:
        window.open(page)
        for _ in range(4):
            assert client.post(f"{url}/v1/messages", json=MESSAGE).status_code == 200
        window.click("//td[contains(., 'beta, after alpha (429)')]")
        window.click("//a[normalize-space()='Response']")
        window.expect(r"attempt 1 +alpha \(api_key\), 429 rate_limit_error, [\d.]+ ms, .*cools for")
        window.expect(r"attempt 2 +beta \(api_key\), 200, [\d.]+ ms")
        window.expect(r"reason +took anthropic:beta by fill-first; skipped anthropic:alpha")
        window.expect(r"usage +tokens: \d+ in, \d+ out")
        assert window.text.count("⚠") == 1
        assert "sk-ant-" not in window.html
        window.run("document.querySelector('.contentview').scrollIntoView()")
        window.screenshot(tmp_path / "inspect.png")
    if SCREENSHOT:
        Path(SCREENSHOT).write_bytes((tmp_path / "inspect.png").read_bytes())


def test_a_plain_script_streams_and_fails_over(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client
) -> None:
    upstream.script("a", Reply(429, headers={"retry-after": "60"}))
    upstream.script("b", Reply(), Reply(stall_after=6))
    script = str(ROOT / "addons" / "neurolink.py")
    config = pool.rename(pool.with_name("elsewhere.yaml"))
    settings = ["--set", f"neurolink_config={config}", "-p", "0"]
    shell.variables["PYTHONUNBUFFERED"] = "1"  # mitmdump's lines reach a file late
    mitmdump = shell.start("-s", script, *settings, program=(MITMDUMP,))
    port = mitmdump.expect(r"listening at 127\.0\.0\.1:(\d+)")[1]
    url = f"http://127.0.0.1:{port}"

    answer = client.post(f"{url}/v1/messages", json=MESSAGE)
    assert (answer.status_code, answer.content) == (200, upstream.requests[-1].answer)
    assert answer.headers["x-neurolink-attempts"] == "2"
    assert [r.account for r in upstream.requests] == ["a", "b"]
    with client.stream("POST", f"{url}/v1/messages", json=MESSAGE) as stream:
        received = b""
        for chunk in stream.iter_raw():
            received += chunk
            if b"text_delta" in received:
                assert not upstream.requests[-1].done
                break  # which hangs up
    mitmdump.signal()
    assert mitmdump.exit_code() == 0
    [log] = (shell.home / ".neurolink" / "logs").glob("proxy-2*.jsonl")
    rows = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert [row["outcome"] for row in rows] == ["complete", "client_cancelled"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["--set", "neurolink_config=not-there.yaml"], "not-there.yaml"),
        (["--set", "ssl_insecure=true"], "ssl_insecure"),
        (["--listen-host", "0.0.0.0"], "clients.api-keys"),  # noqa: S104 - it is to refuse
    ],
    ids=["no-such-file", "unverified-upstream", "open-to-all"],
)
def test_a_plain_script_refuses_what_the_command_refuses(
    shell: Shell, settings: list[str], named: str
) -> None:
    script = str(ROOT / "addons" / "neurolink.py")
    ended = shell.run("-s", script, "-p", "0", *settings, program=(MITMDUMP,))
    assert ended.process.returncode == 1
    assert re.search(named, ended.said + ended.complained)
