"""Bodies as they are captured by the real proxy, and what lands on disk."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.bodies import FileBodies
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins, WordObfuscator
from neurolink_mitm.core.settings.values import Capture, Config, Logging
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, message
from tests.flows.test_shaping import placeholder
from tests.schemas import faults

SIDES = ["client_request", "upstream_request", "upstream_response", "client_response"]
LIMITED = Reply(429, headers={"retry-after": "1"}, message="slow down")


class Logs:
    """What was captured, once the proxy has ended."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def rows(self) -> list[dict[str, Any]]:
        [path] = self.directory.glob("proxy-debug-*.jsonl")
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert [fault for row in rows for fault in faults("proxy-debug", row)] == []
        return rows

    def body(self, row: dict[str, Any]) -> dict[str, Any]:
        document = json.loads(gzip.decompress((self.directory / row["bodyPath"]).read_bytes()))
        assert isinstance(document, dict)
        assert faults("body", document) == []
        return document

    def of(self, phase: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["phase"] == phase]


@contextmanager
def capturing(
    sandbox: SandboxServer, directory: Path, mode: Capture, *known: str, **settings: Any
) -> Iterator[Proxy]:
    journal = FileJournal(directory)
    pool = [account("a", sandbox.url), account("b", sandbox.url)]
    bodies = FileBodies(directory, journal, secrets=lambda: map(Secret, known))

    def change(runtime: Runtime) -> None:
        runtime.bodies = bodies

    config = Config(logging=Logging(capture_bodies=mode), **settings)
    with Proxy(pool, config, change=change) as proxy:
        yield proxy
    bodies.close(LIMIT)
    journal.close(LIMIT)


def ask(proxy: Proxy, **fields: Any) -> httpx.Response:
    headers = {**CLAUDE_CODE, "x-api-key": "sk-ant-test-caller"}
    return httpx.post(f"{proxy.url}/v1/messages", json=message(**fields), headers=headers, timeout=LIMIT)  # fmt: skip


def test_all_four_sides_of_a_streamed_answer(sandbox: SandboxServer, tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    with capturing(sandbox, tmp_path, "all") as proxy:
        answer = ask(proxy)
        proxy.rows.wait()
    assert [row["phase"] for row in logs.rows] == SIDES
    assert {row["requestId"] for row in logs.rows} == {answer.headers["x-neurolink-request-id"]}
    asked, sent, answered, given = logs.rows
    assert logs.body(asked)["body"] == message()
    assert sent["url"].startswith(f"{sandbox.url}/v1/messages")
    assert (sent["attempt"], sent["account"]) == (1, "a")
    assert logs.body(answered)["body"] == answer.text
    assert logs.body(answered)["contentType"].startswith("text/event-stream")
    assert given["status"] == 200
    assert given["durationMs"] > 0
    assert given["bodyBytes"] == len(answer.content)


def test_the_same_body_is_written_once(sandbox: SandboxServer, tmp_path: Path) -> None:
    with capturing(sandbox, tmp_path, "all") as proxy:
        ask(proxy)
        proxy.rows.wait()
    asked, sent, answered, given = Logs(tmp_path).rows
    assert asked["bodyPath"] == sent["bodyPath"]
    assert answered["bodyPath"] == given["bodyPath"]


@pytest.mark.parametrize("stream", [True, False])
def test_words_that_were_put_back(sandbox: SandboxServer, tmp_path: Path, stream: bool) -> None:
    """What upstream answered, and what the client got, differ where a plugin put words back."""
    words = WordObfuscator(True, ("bluebird",))
    sandbox.script("a", Reply(chunk_text=placeholder("bluebird"), events=1))
    logs = Logs(tmp_path)
    cloaking = Cloaking("always", Plugins(word_obfuscator=words))
    with capturing(sandbox, tmp_path, "all", cloaking=cloaking) as proxy:
        answer = ask(proxy, stream=stream, system="bluebird")
        proxy.rows.wait()
    [upstream], [client] = logs.of("upstream_response"), logs.of("client_response")
    texts = [json.dumps(logs.body(row)["body"]) for row in (upstream, client)]
    assert ["bluebird" in text for text in texts] == [False, True]
    assert client["bodyBytes"] == len(answer.content)


def test_nobody_else_can_read_it(sandbox: SandboxServer, tmp_path: Path) -> None:
    with capturing(sandbox, tmp_path / "logs", "all") as proxy:
        ask(proxy)
        proxy.rows.wait()
    files = [path for path in (tmp_path / "logs").rglob("*") if path.is_file()]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    directories = [path for path in (tmp_path / "logs").rglob("*") if path.is_dir()]
    assert {oct(path.stat().st_mode & 0o777) for path in directories} == {"0o700"}


def test_an_answer_that_is_not_streamed(sandbox: SandboxServer, tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    with capturing(sandbox, tmp_path, "all") as proxy:
        answer = ask(proxy, stream=False)
        proxy.rows.wait()
    [answered] = logs.of("upstream_response")
    assert logs.body(answered) | {"bytes": 0} == {
        "encoding": "json",
        "bytes": 0,
        "truncated": False,
        "contentType": "application/json",
        "body": answer.json(),
    }


def test_of_errors_only_the_attempt_that_failed(sandbox: SandboxServer, tmp_path: Path) -> None:
    """The request went well in the end."""
    logs = Logs(tmp_path)
    sandbox.script("a", LIMITED)
    with capturing(sandbox, tmp_path, "errors") as proxy:
        assert ask(proxy).status_code == 200
        proxy.rows.wait()
    assert [row["phase"] for row in logs.rows] == ["upstream_request", "upstream_response"]
    sent, answered = logs.rows
    assert (sent["account"], answered["account"], answered["status"]) == ("a", "a", 429)
    assert logs.body(sent)["body"] == message()
    assert logs.body(answered)["body"]["error"]["message"] == "slow down"
    assert ["retry-after", "1"] in answered["headers"]


@pytest.mark.parametrize(
    "reply",
    [Reply(error_first="overloaded_error"), Reply(cut_after=1), Reply(empty=True)],
    ids=["first event", "cut", "empty"],
)
def test_of_a_stream_that_failed_unseen(
    sandbox: SandboxServer, tmp_path: Path, reply: Reply
) -> None:
    sandbox.script("a", reply)
    with capturing(sandbox, tmp_path, "errors") as proxy:
        assert ask(proxy).status_code == 200
        proxy.rows.wait()
    sent, answered = Logs(tmp_path).rows
    assert [sent["phase"], answered["phase"]] == SIDES[1:3]
    assert (answered["account"], answered["status"]) == ("a", 200)


def test_of_errors_all_that_was_cut_off_later(sandbox: SandboxServer, tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    sandbox.script("a", Reply(events=20, cut_after=10))
    with capturing(sandbox, tmp_path, "errors") as proxy:
        answer = ask(proxy)
        [row] = proxy.rows.wait()
    assert row.outcome in ("error", "truncated")
    assert [row["phase"] for row in logs.rows] == SIDES
    assert logs.body(logs.rows[-1])["body"] == answer.text


@pytest.mark.parametrize("mode", ["errors", "off"])
def test_nothing_of_what_went_well(sandbox: SandboxServer, tmp_path: Path, mode: Capture) -> None:
    with capturing(sandbox, tmp_path, mode) as proxy:
        ask(proxy)
        httpx.get(f"{proxy.url}/status")
        proxy.rows.wait()
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_failures_where_it_is_off(sandbox: SandboxServer, tmp_path: Path) -> None:
    sandbox.script("a", LIMITED)
    with capturing(sandbox, tmp_path, "off") as proxy:
        ask(proxy)
        proxy.rows.wait()
    assert list(tmp_path.iterdir()) == []


def test_what_we_refuse_ourselves(sandbox: SandboxServer, tmp_path: Path) -> None:
    logs = Logs(tmp_path)
    with capturing(sandbox, tmp_path, "errors") as proxy:
        assert ask(proxy, model="nobody-serves-this").status_code == 404
        proxy.rows.wait()
    assert [row["phase"] for row in logs.rows] == ["client_request", "client_response"]
    assert logs.body(logs.rows[1])["body"]["error"]["type"] == "not_found_error"


def test_no_secret_lands_on_disk(sandbox: SandboxServer, tmp_path: Path) -> None:
    """Neither the caller's key, nor the account's, nor those in the conversation, in pieces or not."""
    pieces = [b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}\n\n' % t
              for t in (b"see sk-an", b"t-test-pie", b"ces-0123456789 ok")]  # fmt: skip
    said = b"".join(b"event: content_block_delta\n" + piece for piece in pieces)
    sandbox.script("a", Reply(body=said, content_type="text/event-stream"))
    text = 'use sk-ant-test-inbody, {"api_key": "hunter2"}'
    with capturing(sandbox, tmp_path, "all") as proxy:
        ask(proxy, messages=[{"role": "user", "content": text}])
        proxy.rows.wait()
    written = [path.read_bytes() for path in tmp_path.rglob("*.jsonl")]
    written += [gzip.decompress(path.read_bytes()) for path in tmp_path.rglob("*.gz")]
    everything = b"".join(written)
    assert len(written) == 3
    leaked = [s for s in (b"sk-ant-", b"hunter2", b"t-test-pie", b"ces-01") if s in everything]
    assert leaked == []


def test_what_is_kept_is_given_back(sandbox: SandboxServer, tmp_path: Path) -> None:
    """However a request ends, it takes no room afterwards."""
    from neurolink_mitm.addons import capture as capturing_addon

    with capturing(sandbox, tmp_path, "errors") as proxy:
        sandbox.script("a", Reply(cut_after=10, events=20), LIMITED, Reply())
        for number in range(1, 4):
            ask(proxy)
            proxy.rows.wait(number)
        [addon] = [a for a in proxy.master.addons.chain if isinstance(a, capturing_addon.Capture)]
        assert addon._room.left == capturing_addon.HELD


def test_an_echoed_key_of_no_known_form_does_not_land_on_disk(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    """What upstream says to the client is its own; what is kept of it has stars."""
    sandbox.script("a", Reply(401, message="no such key: corp-key-of-our-gateway"))
    with capturing(sandbox, tmp_path, "all", "corp-key-of-our-gateway") as proxy:
        ask(proxy)
        proxy.rows.wait()
    logs = Logs(tmp_path)
    stored = [logs.body(row) for row in logs.rows if row["bodyPath"]]
    assert "no such key: ***" in json.dumps(stored)
    assert "gateway" not in json.dumps([stored, logs.rows])
