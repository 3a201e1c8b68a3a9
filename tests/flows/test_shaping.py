"""Request shaping through the real proxy: what upstream gets to see, and what the client gets back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.settings import shaping
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.shaping.outgoing import OutgoingRequest
from neurolink_mitm.core.shaping.restoring import FORM, Placeholders
from neurolink_mitm.sandbox import Account as SandboxAccount
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.wire import Tls
from tests.adapters.tls_server import make_certificate, tls_server
from tests.core.shaping.test_restoring import split
from tests.flows.harness import CLAUDE_CODE, LIMIT, Proxy, account, events, message

UUID = "11111111-2222-3333-4444-555555555555"
CLIENTS = "99999999-8888-7777-6666-555555555555"
USER = f"user_{'ab' * 32}_account_{CLIENTS}_session_{UUID}"
WORDS = shaping.WordObfuscator(True, ("bluebird",), detectors=("email",), domains=("corp.example",))
ALL = Plugins(
    system_prompt_injector=shaping.SystemPromptInjector(True, ("House rules of bluebird.",)),
    word_obfuscator=WORDS,
)
SECRETS = (b"bluebird", b"bob@mail.example", b"db1.corp.example")
SAID = "bluebird: ask bob@mail.example at db1.corp.example"
HEADERS = {**CLAUDE_CODE, "via": "1.1 a", "x-forwarded-for": "10.0.0.1", "cookie": "c=1",
           "x-neurolink-user-id": "me", "x-team": "bluebird"}  # fmt: skip


def config(mode: Any = "auto", plugins: Plugins = ALL) -> Config:
    return Config(cloaking=Cloaking(mode, plugins))


def login(sandbox: SandboxServer) -> Account:
    return account("o", sandbox.url, token="sk-ant-oat-test-o", account_uuid=UUID)


def asking(text: str = SAID, **fields: Any) -> dict[str, Any]:
    asked = message(messages=[{"role": "user", "content": text}], **fields)
    return {**asked, "metadata": {"user_id": USER}}


def ask(proxy: Proxy, **fields: Any) -> httpx.Response:
    with httpx.Client(base_url=proxy.url, timeout=LIMIT, trust_env=False) as client:
        return client.post("/v1/messages", json=asking(**fields), headers=HEADERS)


def placeholder(word: str, kind: str = "WORD") -> str:
    """As the harness's key makes it."""
    return Placeholders(b"a key of the tests").make(kind, word)


def nothing_of(secrets: tuple[bytes, ...], sandbox: SandboxServer) -> None:
    for request in sandbox.requests:
        seen = request.body + repr(request.headers).encode()
        assert [secret for secret in secrets if secret in seen.lower()] == []


def test_upstream_sees_none_of_it_and_the_client_all(sandbox: SandboxServer) -> None:
    echo = f"{placeholder('bluebird')}, {placeholder('bob@mail.example', 'EMAIL')}!"
    sandbox.script("o", Reply(chunk_text=echo, events=2))
    with Proxy([login(sandbox)], config()) as proxy:
        answer = ask(proxy)
    nothing_of(SECRETS, sandbox)
    [request] = sandbox.requests
    sent = json.loads(request.body)
    assert FORM.search(sent["messages"][0]["content"])
    assert FORM.search(sent["system"][0]["text"])
    assert sent["metadata"]["user_id"] == USER.replace(CLIENTS, UUID)
    assert {"via", "x-forwarded-for", "cookie", "x-neurolink-user-id"} & {
        name.lower() for name in dict(request.headers)
    } == set()
    assert FORM.fullmatch(request.header("x-team") or "")
    texts = [
        e["delta"]["text"] for name, e in events(answer.content) if name == "content_block_delta"
    ]
    assert "".join(texts) == "bluebird, bob@mail.example!" * 2


def streamed(pieces: list[str]) -> bytes:
    def event(name: str, **fields: Any) -> str:
        return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n"

    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
             "stop_reason": None, "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    deltas = [event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
              for piece in pieces]  # fmt: skip
    return "".join((
        event("message_start", message=start),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *deltas,
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}),
        event("message_stop"),
    )).encode()  # fmt: skip


def test_a_placeholder_that_is_cut_anywhere_comes_back(sandbox: SandboxServer) -> None:
    text = f"to {placeholder('bluebird')}."
    with Proxy([login(sandbox)], config()) as proxy:
        for cut in range(len(text) + 1):
            body = streamed(split(text, [cut]))
            sandbox.script("o", Reply(body=body, content_type="text/event-stream"))
            deltas = [e for name, e in events(ask(proxy).content) if name == "content_block_delta"]
            assert "".join(e["delta"]["text"] for e in deltas) == "to bluebird."


def test_thinking_stays_and_the_input_of_a_tool_comes_back(sandbox: SandboxServer) -> None:
    """Whatever is said of a word with quotes in it, which are escaped in the input."""
    word = 'blue "bird"\\'
    plugins = Plugins(word_obfuscator=shaping.WordObfuscator(True, (word,)))
    written = json.dumps({"path": f"/srv/{placeholder(word)}/a"})
    with Proxy([login(sandbox)], config(plugins=plugins)) as proxy:
        for cut in range(0, len(written), 3):
            body = thought_and_used(placeholder(word), split(written, [cut, cut + 1]))
            sandbox.script("o", Reply(body=body, content_type="text/event-stream"))
            seen = [e.get("delta", {}) for _, e in events(ask(proxy, text=word).content)]
            told = "".join(delta.get("partial_json", "") for delta in seen)
            assert json.loads(told) == {"path": f"/srv/{word}/a"}
            assert [d["thinking"] for d in seen if "thinking" in d] == [placeholder(word)]
            assert [d["signature"] for d in seen if "signature" in d] == [placeholder(word)]
    assert word.encode() not in sandbox.requests[0].body


def thought_and_used(thought: str, pieces: list[str]) -> bytes:
    """An answer that has thought of something, and calls a tool."""

    def event(name: str, **fields: Any) -> str:
        return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n"

    def delta(index: int, type: str, **member: str) -> str:
        return event("content_block_delta", index=index, delta={"type": type, **member})

    start, behind = streamed([]).decode().split("event: content_block_start", 1)
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}}
    return "".join((
        start,
        event("content_block_start", index=0, content_block=thinking),
        delta(0, "thinking_delta", thinking=thought),
        delta(0, "signature_delta", signature=thought),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block=tool),
        *(delta(1, "input_json_delta", partial_json=piece) for piece in pieces),
        event("content_block_stop", index=1),
        "event: message_delta" + behind.split("event: message_delta", 1)[1],
    )).encode()  # fmt: skip


def test_a_whole_answer_has_its_right_length(sandbox: SandboxServer) -> None:
    content = [{"type": "text", "text": f"{placeholder('bluebird')} sings"}]
    body = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "content": content,
                       "usage": {"input_tokens": 1, "output_tokens": 1}}).encode()  # fmt: skip
    sandbox.script("o", Reply(body=body, content_type="application/json"))
    with Proxy([login(sandbox)], config()) as proxy:
        answer = ask(proxy, stream=False)
    assert answer.json()["content"][0]["text"] == "bluebird sings"
    assert answer.headers["content-length"] == str(len(answer.content))


def test_a_whole_answer_too_long_to_be_held(sandbox: SandboxServer) -> None:
    text = f"{placeholder('bluebird')} " * 60_000
    body = json.dumps({"id": "m", "content": [{"type": "text", "text": text}]}).encode()
    assert len(body) > 1024 * 1024
    sandbox.script("o", Reply(body=body, content_type="application/json"))
    with Proxy([login(sandbox)], config()) as proxy:
        answer = ask(proxy, stream=False)
    assert answer.json()["content"][0]["text"] == "bluebird " * 60_000
    assert "content-length" not in answer.headers


def test_upstreams_errors_have_their_words_again(sandbox: SandboxServer) -> None:
    sandbox.script("o", Reply(400, message=f"{placeholder('bluebird')}: no such tool"))
    with Proxy([login(sandbox)], config()) as proxy:
        answer = ask(proxy)
    assert answer.json()["error"]["message"] == "bluebird: no such tool"
    assert answer.headers["content-length"] == str(len(answer.content))


def test_an_answer_that_is_cut_off_says_what_it_had_begun(sandbox: SandboxServer) -> None:
    half = placeholder("bluebird")[:9]
    body = streamed([half]).partition(b"event: content_block_stop")[0]
    sandbox.script("o", Reply(body=body, content_type="text/event-stream"))
    with Proxy([login(sandbox)], config()) as proxy:
        seen = events(ask(proxy).content)
    assert [name for name, _ in seen][-2:] == ["content_block_delta", "error"]
    assert seen[-2][1]["delta"]["text"] == half


def test_the_next_attempt_starts_from_what_the_client_sent(sandbox: SandboxServer) -> None:
    """Of two subscriptions, each sees its own account, and the same words replaced once."""
    first = replace(login(sandbox), key="anthropic:b", label="b", account_uuid=CLIENTS[::-1],
                    secret=account("b", "").secret)  # fmt: skip
    sandbox.script("b", Reply(429, headers={"retry-after": "60"}))
    with Proxy([first, login(sandbox)], config()) as proxy:
        assert ask(proxy).status_code == 200
    one, other = (json.loads(request.body) for request in sandbox.requests)
    assert one.pop("metadata")["user_id"] == USER.replace(CLIENTS, CLIENTS[::-1])
    assert other.pop("metadata")["user_id"] == USER.replace(CLIENTS, UUID)
    assert one == other
    nothing_of(SECRETS, sandbox)


@pytest.mark.parametrize(("mode", "hidden"), [("auto", False), ("always", True), ("never", False)])
def test_accounts_with_keys_are_for_always(sandbox: SandboxServer, mode: str, hidden: bool) -> None:
    with Proxy([account("a", sandbox.url)], config(mode)) as proxy:
        assert ask(proxy).status_code == 200
    [request] = sandbox.requests
    assert (b"bluebird" not in request.body) is hidden
    if not hidden:
        assert json.loads(request.body) == asking()


def test_with_nothing_to_change_the_body_goes_out_as_it_came(sandbox: SandboxServer) -> None:
    body = b'{ "model":"claude-sonnet-4-6","max_tokens":64, "messages" : [{"role":"user","content":"hi"}]}'
    plain = Plugins(word_obfuscator=WORDS)
    with (
        Proxy([login(sandbox)], config(plugins=plain)) as proxy,
        httpx.Client(trust_env=False) as client,
    ):
        client.post(f"{proxy.url}/v1/messages", content=body, headers=CLAUDE_CODE, timeout=LIMIT)
    assert sandbox.requests[-1].body == body


class Failing:
    def rewrite(self, draft: OutgoingRequest) -> OutgoingRequest:
        raise KeyError("bluebird")


def test_a_plugin_that_fails_lets_nothing_out(sandbox: SandboxServer) -> None:
    with Proxy([login(sandbox)], config(), plugins=[("mine", Failing())]) as proxy:
        answer = ask(proxy)
        [row] = proxy.rows.wait()
    assert answer.status_code == 500
    assert "the plugin mine failed (KeyError)" in answer.json()["error"]["message"]
    assert (row.outcome, sandbox.requests) == ("error", [])


class Unable:
    """As an undo, and as its editor."""

    def rewrite(self, draft: OutgoingRequest) -> OutgoingRequest:
        return replace(draft, undo=(*draft.undo, lambda stream: Unable()))

    def feed(self, chunk: bytes) -> bytes:
        raise KeyError("bluebird")

    def end(self) -> bytes:
        return b""


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_plugin_that_fails_on_an_answer_does_not_leave_the_client_waiting(
    sandbox: SandboxServer, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with Proxy([login(sandbox)], config(), plugins=[("mine", Unable())]) as proxy:
        answer = ask(proxy, stream=stream)
    assert answer.status_code == (200 if stream else 500)
    said = answer.text.removeprefix("event: error\ndata: ")
    assert json.loads(said)["error"]["type"] == "api_error"
    assert "a plugin's undo failed (KeyError)" in caplog.text
    assert "bluebird" not in caplog.text


def test_what_could_not_be_taken_back_is_not_sent(sandbox: SandboxServer) -> None:
    with Proxy([login(sandbox)], config()) as proxy, httpx.Client(trust_env=False) as client:
        url = f"{proxy.url}/v1/messages/batches"
        answer = client.post(
            url, json={"requests": ["bluebird"]}, headers=CLAUDE_CODE, timeout=LIMIT
        )
    assert answer.status_code == 400
    assert "wordObfuscator" in answer.json()["error"]["message"]
    assert sandbox.requests == []


@dataclass
class Pinned:
    sandbox: SandboxServer
    fingerprint: str


@pytest.fixture
def pinned(tmp_path: Path) -> Iterator[Pinned]:
    """A sandbox with TLS, whose certificate is trusted."""
    path = make_certificate(tmp_path)
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    found = SandboxAccount("o", "sk-ant-oat-test-o", "oauth")
    with SandboxServer([found], tls=Tls(str(path))) as server:
        yield Pinned(server, certificate.fingerprint(hashes.SHA256()).hex())


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_a_certificate_that_is_not_pinned_gets_no_byte(
    pinned: Pinned, right: bool, tmp_path: Path
) -> None:
    pin = pinned.fingerprint if right else "ab" * 32
    plugins = Plugins(shaping.TlsFingerprint(True, {"localhost": (pin,)}))
    upstream = replace(
        login(pinned.sandbox), base_url=pinned.sandbox.url.replace("127.0.0.1", "localhost")
    )
    with Proxy([upstream], config(plugins=plugins), trusted=tmp_path / "localhost.pem") as proxy:
        answers = [ask(proxy), ask(proxy)]
        rows = proxy.rows.wait(2)
    if right:
        assert [answer.status_code for answer in answers] == [200, 200]
        return
    assert [answer.status_code for answer in answers] == [502, 502]
    assert pinned.fingerprint in answers[0].json()["error"]["message"]
    assert pinned.sandbox.requests == []
    assert [row.attempts for row in rows] == [1, 1]


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_the_pin_is_compared_before_any_byte_of_http(tmp_path: Path, right: bool) -> None:
    """By a server that answers nothing, and counts what it is told within TLS."""
    path = make_certificate(tmp_path)
    shown = x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex()
    plugins = Plugins(shaping.TlsFingerprint(True, {"localhost": (shown if right else "ab" * 32,)}))
    received = bytearray()
    with tls_server(path, received) as port:
        upstream = account("o", f"https://localhost:{port}", token="sk-ant-oat-test-o")
        with Proxy([upstream], config(plugins=plugins), trusted=path) as proxy:
            assert ask(proxy).status_code == 502
    assert received[:5] == (b"POST " if right else b"")


def test_a_pinned_host_without_tls_gets_no_byte(sandbox: SandboxServer) -> None:
    plugins = Plugins(shaping.TlsFingerprint(True, {"127.0.0.1": ("ab" * 32,)}))
    with Proxy([login(sandbox)], config(plugins=plugins)) as proxy:
        assert ask(proxy).status_code == 502
    assert sandbox.requests == []
