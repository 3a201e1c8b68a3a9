"""Flows that don't come through the pool's data plane: replays, loaded ones, those of other modes. In real mitmweb."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.browser import browser
from tests.cli.processes import MESSAGE, ROOT, Shell
from tests.waiting import wait_until

SCRIPT = str(ROOT / "addons" / "neurolink.py")
BIN = Path(sys.executable).parent
XSRF = "ab" * 16
USER_AGENT = {"user-agent": "claude-cli/2.1.0 (external, cli)"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Web:
    """mitmweb's page, by what its buttons ask for."""

    address: str
    client: httpx.Client

    def __post_init__(self) -> None:
        self.base = self.address.partition("?")[0]
        self.client.get(self.address)  # sets its cookie
        self.client.headers["x-xsrftoken"] = XSRF
        for name in (
            "_xsrf",
            "_mitmproxy_xsrf",
        ):  # compared with the field; the page makes one up, too
            self.client.cookies.set(name, XSRF)

    def flows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(f"{self.base}flows").json()
        return found

    def done(self, count: int) -> list[dict[str, Any]]:
        """All flows, once there are so many and each has its end."""

        def ended() -> bool:
            flows = self.flows()
            return len(flows) >= count and all(
                (flow.get("response") or {}).get("timestamp_end") for flow in flows
            )

        wait_until(ended, f"{count} flows have ended: {self.flows()}")
        return self.flows()

    def replay(self, flow: dict[str, Any]) -> None:
        answer = self.client.post(f"{self.base}flows/{flow['id']}/replay")
        assert answer.status_code < 300, answer.text

    def change(self, flow: dict[str, Any], **request: object) -> None:
        answer = self.client.put(f"{self.base}flows/{flow['id']}", json={"request": request})
        assert answer.status_code < 300, answer.text

    def answer(self, flow: dict[str, Any]) -> dict[str, Any]:
        found = self.client.get(f"{self.base}flows/{flow['id']}/response/content.data").json()
        assert isinstance(found, dict)
        return found

    def load(self, flows: bytes) -> None:
        files = {"filecontents": ("flows", flows)}
        assert self.client.post(f"{self.base}flows/dump", files=files).status_code < 300

    def saved(self) -> bytes:
        return self.client.get(f"{self.base}flows/dump").content


def watch(shell: Shell, client: httpx.Client) -> tuple[str, Web]:
    proxy, url = shell.serve("--inspect")
    return url, Web(proxy.expect(r"Watch it in a browser: (\S+)\n")[1], client)


def ask(url: str, **more: Any) -> httpx.Response:
    own = {"x-api-key": "sk-ant-test-callers-own", **USER_AGENT}
    return httpx.post(f"{url}/v1/messages", json=MESSAGE | more, headers=own, timeout=20)


def test_a_replay_is_a_new_flow_that_fails_over(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client
) -> None:
    """By the button: the evidence stays as it was, and the client's own request goes out anew."""
    pool.write_text(pool.read_text() + "clients: {api-keys: [sk-ant-test-callers-own]}\n")
    url, web = watch(shell, client)
    assert ask(url).status_code == 200
    [first] = web.done(1)
    upstream.script("a", Reply(429, headers={"retry-after": "60"}))
    web.replay(first)
    old, new = web.done(2)
    assert (old["response"], old["comment"], old["is_replay"]) == (first["response"], "a", None)
    assert (new["comment"], new["is_replay"]) == ("b, after a (429)", "request")
    assert new["response"]["status_code"] == 200
    assert [request.account for request in upstream.requests] == ["a", "a", "b"]
    bodies = {request.body for request in upstream.requests}
    agents = {request.header("user-agent") for request in upstream.requests}
    assert (len(bodies), agents) == (1, set(USER_AGENT.values()))
    assert "sk-ant-" not in json.dumps(web.flows())
    web.replay(new)
    assert web.done(3)[2]["comment"] == "b"


@pytest.mark.timeout(180)
@pytest.mark.real("browser")
def test_by_the_button_in_a_real_browser(
    shell: Shell, pool: Path, upstream: SandboxServer, tmp_path: Path
) -> None:
    proxy, url = shell.serve("--inspect")
    with browser(tmp_path) as window:
        window.open(proxy.expect(r"Watch it in a browser: (\S+)\n")[1])
        assert ask(url).status_code == 200
        upstream.script("a", Reply(429, headers={"retry-after": "60"}))
        window.click("//td[normalize-space()='a']")
        window.click("//button[contains(., 'Replay')]")
        window.expect(r"b, after a \(429\)")
        rows = "return document.querySelectorAll('.flow-table tbody tr[class]').length"
        assert window.run(rows) >= 2
        window.screenshot(tmp_path / "replay.png")
    assert [request.account for request in upstream.requests] == ["a", "a", "b"]


def test_what_was_changed_of_a_flow_is_replayed_so(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client
) -> None:
    """Of a translated request it is the Messages request that can be changed; unchanged, the client's own is sent."""
    url, web = watch(shell, client)
    ask(url)
    [first] = web.done(1)
    web.change(first, content=json.dumps(MESSAGE | {"max_tokens": 7}))
    web.replay(first)
    web.done(2)
    assert json.loads(upstream.requests[-1].body)["max_tokens"] == 7

    asked = {"model": MESSAGE["model"], "messages": MESSAGE["messages"]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=asked, timeout=20)
    assert answer.json()["object"] == "chat.completion"
    chat = web.done(3)[2]
    web.replay(chat)
    assert web.answer(web.done(4)[3])["object"] == "chat.completion"
    assert upstream.requests[-1].body == upstream.requests[-2].body
    web.change(chat, content=json.dumps(MESSAGE | {"max_tokens": 8, "stream": False}))
    web.replay(chat)
    assert web.answer(web.done(5)[4])["type"] == "message"
    assert json.loads(upstream.requests[-1].body)["max_tokens"] == 8


def test_loaded_flows_stay_as_they_are_and_are_replayed_through_the_pool(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client
) -> None:
    url, web = watch(shell, client)
    ask(url)
    [first] = web.done(1)
    web.load(web.saved())
    [loaded] = web.done(1)
    assert {**loaded, "id": 0} == {**first, "id": 0}
    stats = httpx.get(f"{url}/status").json()["stats"]
    assert (stats["totalRequests"], stats["totalErrors"]) == (1, 0)
    web.replay(loaded)
    assert web.done(2)[1]["comment"] == "a"
    assert len(upstream.requests) == 2
    assert upstream.requests[-1].path == upstream.requests[0].path


def test_a_second_mode_is_left_alone(shell: Shell, pool: Path, upstream: SandboxServer) -> None:
    """Flows of other modes have no record, no count, and the credential that they came with."""
    config = pool.rename(pool.with_name("elsewhere.yaml"))
    modes = [f"regular@{free_port()}", f"reverse:{upstream.url}@{free_port()}"]
    shell.variables["PYTHONUNBUFFERED"] = "1"
    dump = shell.start(
        "-s", SCRIPT, "--set", f"neurolink_config={config}", "-p", "0",
        "--mode", "reverse:http://upstream.invalid:80", *(f"--mode={mode}" for mode in modes),
        program=(str(BIN / "mitmdump"),),
    )  # fmt: skip
    pooled = dump.expect(r"upstream\.invalid\S* listening at 127\.0\.0\.1:(\d+)")[1]
    regular, reverse = (mode.rpartition("@")[2] for mode in modes)
    own = {"x-api-key": "sk-ant-test-b", "anthropic-version": "2023-06-01", **USER_AGENT}
    for proxy, base in (
        (f"http://127.0.0.1:{regular}", upstream.url),
        (None, f"http://127.0.0.1:{reverse}"),
    ):
        with httpx.Client(proxy=proxy, timeout=20) as other:
            answer = other.post(f"{base}/v1/messages", json=MESSAGE, headers=own)
        assert (answer.status_code, upstream.requests[-1].account) == (200, "b")
        assert "x-neurolink-request-id" not in answer.headers
    status = httpx.get(f"http://127.0.0.1:{pooled}/status").json()
    assert (status["stats"]["totalRequests"], status["port"]) == (0, int(pooled))
    assert ask(f"http://127.0.0.1:{pooled}").headers["x-neurolink-account"] == "a"


@pytest.mark.parametrize("option", ["-C", "-r"])
def test_a_file_of_flows_for_mitmdump(
    shell: Shell, pool: Path, upstream: SandboxServer, client: httpx.Client, option: str
) -> None:
    """`-C` replays through the pool, and the program waits for that; `-r` shows what there was."""
    url, web = watch(shell, client)
    ask(url)
    web.done(1)
    saved = shell.place / "flows"
    saved.write_bytes(web.saved())
    ended = shell.run("-s", SCRIPT, "-p", "0", option, str(saved), program=(str(BIN / "mitmdump"),))
    assert ended.process.returncode == 0
    assert [request.account for request in upstream.requests] == ["a"] * (
        2 if option == "-C" else 1
    )
    assert "<< 200 OK" in ended.said
