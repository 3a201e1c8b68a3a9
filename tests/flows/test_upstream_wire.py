"""What upstream may say on the wire, through the real proxy: account `a` says it, `b` answers well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import httpx
import pytest

from neurolink_mitm.core.settings.values import Network
from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows import raw_upstream as raw
from tests.flows.harness import (
    LIMIT,
    Proxy,
    account,
    connect,
    events,
    message,
    raw_request,
    read_answer,
    timeouts,
)
from tests.flows.raw_upstream import (
    BLOCK,
    END,
    HELLO,
    JSON,
    MESSAGE,
    SSE,
    START,
    STREAM,
    Act,
    RawUpstream,
    answer,
    chunk,
    compressed,
    error,
    event,
    head,
    resets,
    says,
)

CHUNKS = head(transfer_encoding="chunked", **SSE)
TAIL = b"0\r\n\r\n"
INTERIM = head("103 Early Hints", link="</a>") + head("100 Continue")
BOM = b"\xef\xbb\xbf"
PAGE = b"<!DOCTYPE html><html>blocked</html>"
LIMIT_EVENT = event("error", error={"type": "rate_limit_error", "message": "slow down"})


@dataclass
class Pool:
    """The proxy, and the upstreams of its two accounts."""

    proxy: Proxy
    a: RawUpstream
    b: SandboxServer

    def ask(self, path: str = "/v1/messages", **fields: object) -> httpx.Response:
        return httpx.post(
            self.proxy.url + path, json=message(**fields), timeout=LIMIT, trust_env=False
        )

    @property
    def cooling(self) -> bool:
        return bool(self.proxy.runtime.pool.account_state("anthropic:a").cooldowns)


@pytest.fixture(scope="module")  # mitmproxy's `ctx` is one: no test here may start another
def running() -> Iterator[Pool]:
    with RawUpstream(b"") as a, SandboxServer([Account("b", "sk-ant-test-b")]) as b:
        limits = timeouts(connect=LIMIT, first_event=LIMIT, idle=LIMIT, total=2 * LIMIT)
        # each request has a new connection: one that was used before may be replaced
        config = replace(limits, network=Network(idle=0, warm=0))
        with Proxy([account("a", a.url), account("b", b.url)], config) as proxy:
            yield Pool(proxy, a, b)


@pytest.fixture
def pool(running: Pool) -> Pool:
    running.proxy.runtime.pool.reset("anthropic:a")
    return running


SERVED: dict[str, bytes | Act] = {
    "interim": INTERIM * 20 + answer(STREAM, **SSE),
    "interim-apart": says(*[INTERIM] * 3, answer(STREAM, **SSE)),
    "trailers": says(CHUNKS + chunk(STREAM) + b"0\r\nx-checksum: 7\r\ngrpc-status: 0\r\n\r\n"),
    "trailers-apart": says(CHUNKS, chunk(STREAM), b"0\r\nx-che", b"cksum: 7\r\n", b"\r\n"),
    "extensions": says(CHUNKS + chunk(STREAM, b";a=b") + TAIL),
    "cr": answer(STREAM.replace(b"\n", b"\r"), **SSE),
    "crlf": answer(STREAM.replace(b"\n", b"\r\n"), **SSE),
    "mixed": answer(STREAM.replace(b"\n\n", b"\r\n\r").replace(b"}\n", b"}\r"), **SSE),
    "no-last-line": answer(STREAM[:-1], **SSE),
    "no-last-lines": answer(STREAM[:-2], **SSE),
    "bom": answer(BOM + STREAM, **SSE),
    "bom-apart": says(CHUNKS + chunk(BOM[:1]), chunk(BOM[1:] + STREAM) + TAIL),
    "no-reason": answer(STREAM, "200", **SSE),
    "old-version": answer(STREAM, **SSE).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "lengths": answer(STREAM, content_length=f"{len(STREAM)}, {len(STREAM)}", **SSE),
    "length-and-chunks": says(
        head(transfer_encoding="chunked", content_length="7", **SSE) + chunk(STREAM) + TAIL
    ),
    "garbage-behind": says(answer(STREAM, **SSE) + b"garbage"),
    "no-length": head(**SSE) + STREAM,
    "untyped": head() + STREAM,
    "reset-at-the-end": resets(CHUNKS + chunk(STREAM)),
}  # fmt: skip


@pytest.mark.parametrize("act", SERVED.values(), ids=SERVED)
def test_these_are_answers(pool: Pool, act: bytes | Act) -> None:
    """The client has whole events, no made-up one, and the connection is good for the next request."""
    measured = isinstance(act, bytes) and b"content-length" in act
    pool.a.script(says(act) if measured else act)  # type: ignore[arg-type]
    with connect(pool.proxy) as connection:
        for _ in range(2):
            connection.sendall(raw_request())
            got = read_answer(connection)
            assert b"x-neurolink-account: a" in got
            assert b"hello" in got
            assert b"message_stop" in got
            assert b"event: error" not in got
    assert not pool.cooling


NEXT: dict[str, bytes | Act] = {
    "switching": says(head("101 Switching Protocols", upgrade="websocket")),
    "error": answer(error("overloaded_error"), **JSON),
    "page": answer(PAGE, content_type="text/html"),
    "page-as-stream": answer(PAGE, **SSE),
    "error-as-stream": answer(error("overloaded_error"), **SSE),
    "nameless-error": answer(LIMIT_EVENT.partition(b"\n")[2], **SSE),
    "no-byte": answer(**SSE),
    "nothing": head("204 No Content"),
    "chunks-of-nothing": head("204 No Content", transfer_encoding="chunked"),
    "not-modified": head("304 Not Modified", content_length="5"),
    "reset-content": answer(status="205 Reset Content"),
    "moved": answer(status="302 Found", location="https://elsewhere.test/"),
    "short": head(content_length="5000", **SSE) + START,
    "lengths": head(content_length="5, 6", **SSE) + STREAM,
    "version": answer(STREAM, **SSE).replace(b"HTTP/1.1", b"HTTP/2.0"),
    "status": answer(STREAM, "1200 OK", **SSE),
    "no-http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "field": answer(STREAM, **SSE, x_a="1\r2"),
    "comments": raw.forever(b": ka\n\n" * 1000, head(**SSE)),
    "pings": raw.forever(event("ping") * 100, head(**SSE)),
    "line": raw.forever(b"x" * 65536, head(**SSE)),
    "head": raw.forever(b"x-a: b\r\n" * 1000, b"HTTP/1.1 200 OK\r\n"),
    "interims": raw.forever(INTERIM * 10),
    "extension": raw.forever(b"x" * 65536, CHUNKS + b"5;"),
    "trailers": raw.forever(b"x-a: b\r\n" * 1000, CHUNKS + chunk(START) + b"0\r\n"),
    "empty-lines": raw.forever(b"\r\n" * 1000),
    "error-page": raw.forever(b"x" * 65536, head("503 x")),
    "close": b"",
    "close-in-head": b"HTTP/1.1 200 OK\r\ncontent-",
    "close-after-head": CHUNKS,
    "close-in-body": CHUNKS + chunk(START)[:-40],
    "reset": resets(),
    "reset-in-head": resets(b"HTTP/1.1 200 OK\r\n"),
    "reset-after-head": resets(CHUNKS),
    "reset-before-content": resets(CHUNKS + chunk(START + BLOCK)),
}  # fmt: skip


@pytest.mark.parametrize("act", NEXT.values(), ids=NEXT)
def test_these_are_none(pool: Pool, act: bytes | Act) -> None:
    """The client sees nothing of it: the next account answers."""
    pool.a.script(act)
    got = pool.ask()
    assert (got.status_code, got.headers["x-neurolink-account"]) == (200, "b")
    assert got.content == pool.b.requests[-1].answer
    assert len(pool.a.requests) == 1


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("kind", ["event", "object"])
def test_a_rate_limit_inside_a_200_is_one(pool: Pool, kind: str, stream: bool) -> None:
    body = (
        answer(LIMIT_EVENT, **SSE) if kind == "event" else answer(error("rate_limit_error"), **JSON)
    )
    before = pool.proxy.runtime.totals.rate_limits
    tally = pool.proxy.runtime.pool.account_state("anthropic:a").tally.rate_limits
    pool.a.script(body)
    rows = len(pool.proxy.rows.requests)
    assert pool.ask(stream=stream).headers["x-neurolink-account"] == "b"
    pool.proxy.rows.wait(rows + 1)
    assert pool.cooling
    assert pool.proxy.runtime.totals.rate_limits == before + 1
    assert pool.proxy.runtime.pool.account_state("anthropic:a").tally.rate_limits == tally + 1


@pytest.mark.parametrize("coding", raw.NAMES)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_compressed_answer_is_read(pool: Pool, coding: str, stream: bool) -> None:
    """Nobody asked for it: the client gets it as it was before, and it is judged like any other."""
    body, fields = (STREAM, SSE) if stream else (MESSAGE, JSON)
    pool.a.script(answer(compressed(body, coding), content_encoding=coding, **fields))
    got = pool.ask(stream=stream)
    assert (got.headers["x-neurolink-account"], got.content) == ("a", body)
    assert "content-encoding" not in got.headers
    assert pool.proxy.rows.wait(1)[-1].account in ("a", "b")


COMPRESSED: dict[str, tuple[bytes, str, dict[str, str]]] = {
    "429": (error("rate_limit_error"), "429 x", JSON),
    "credit": (error("invalid_request_error", "Your credit balance is too low"), "400 x", JSON),
    "object": (error("overloaded_error"), "200 x", JSON),
    "page": (PAGE, "200 x", {"content_type": "text/html"}),
    "event": (LIMIT_EVENT, "200 x", SSE),
    "nothing": (b"", "200 x", SSE),
    "bomb": (bytes(50_000_000), "200 x", JSON),
    "bomb-in-error": (bytes(50_000_000), "529 x", JSON),
    "comments": (b": ka\n\n" * 200_000, "200 x", SSE),
}


@pytest.mark.parametrize("coding", raw.NAMES)
@pytest.mark.parametrize(("body", "status", "fields"), COMPRESSED.values(), ids=COMPRESSED)
def test_a_compressed_failure_is_one(
    pool: Pool, body: bytes, status: str, fields: dict[str, str], coding: str
) -> None:
    pool.a.script(answer(compressed(body, coding), status, content_encoding=coding, **fields))
    assert pool.ask().headers["x-neurolink-account"] == "b"


@pytest.mark.parametrize("coding", raw.NAMES)
def test_a_compressed_error_that_is_returned_is_not_compressed_twice(
    pool: Pool, coding: str
) -> None:
    body = error("invalid_request_error", "max_tokens: too small")
    pool.a.script(answer(compressed(body, coding), "400 x", content_encoding=coding, **JSON))
    got = pool.ask()
    assert (got.status_code, got.content) == (400, body)


def test_a_coding_that_nobody_knows_passes(pool: Pool) -> None:
    pool.a.script(answer(b"\x00\x01", "400 x", content_encoding="aes128gcm", **JSON))
    got = pool.ask()
    assert (got.status_code, got.content) == (400, b"\x00\x01")
    assert got.headers["content-encoding"] == "aes128gcm"


@pytest.mark.parametrize("coding", raw.NAMES)
def test_a_compressed_stream_that_is_cut_is_closed_by_an_error_event(
    pool: Pool, coding: str
) -> None:
    packed = compressed(START + BLOCK + HELLO * 20_000 + END, coding)
    pool.a.script(answer(packed[:-20], content_encoding=coding, **SSE))
    got = pool.ask()
    assert got.headers["x-neurolink-account"] == "a"
    assert events(got.content)[-1][0] == "error"


def test_a_rate_limit_after_content_is_told_and_counted(pool: Pool) -> None:
    """Nothing can be sent again by then."""
    pool.a.script(answer(START + BLOCK + HELLO + LIMIT_EVENT, **SSE))
    before = pool.proxy.runtime.totals.rate_limits
    tally = pool.proxy.runtime.pool.account_state("anthropic:a").tally.rate_limits
    rows = len(pool.proxy.rows.requests)
    assert events(pool.ask().content)[-1][1]["error"]["type"] == "rate_limit_error"
    assert pool.proxy.rows.wait(rows + 1)[-1].outcome == "error"
    assert pool.proxy.runtime.totals.rate_limits == before + 1
    assert pool.proxy.runtime.pool.account_state("anthropic:a").tally.rate_limits == tally + 1


ENDLESS: dict[str, bytes | Act] = {
    "line": raw.forever(b"x" * 65536, head(**SSE) + START + BLOCK + HELLO),
    "lines": raw.forever(b"data: x\n" * 8192, head(**SSE) + START + BLOCK + HELLO),
    "extension": raw.forever(b"x" * 65536, CHUNKS + chunk(START + BLOCK + HELLO) + b"5;"),
    "trailers": raw.forever(b"a: b\r\n" * 9999, CHUNKS + chunk(START + BLOCK + HELLO) + b"0\r\n"),
    "reset": resets(CHUNKS + chunk(START + BLOCK + HELLO)),
    "close": CHUNKS + chunk(START + BLOCK + HELLO),
    "short": head(content_length=str(len(STREAM)), **SSE) + START + BLOCK + HELLO,
    "half-an-event": head(**SSE) + START + BLOCK + HELLO + END[:50],
    "bad-chunk": CHUNKS + chunk(START + BLOCK + HELLO) + b"zz\r\n",
}  # fmt: skip


@pytest.mark.parametrize("act", ENDLESS.values(), ids=ENDLESS)
def test_after_content_it_is_closed_by_an_error_event(pool: Pool, act: bytes | Act) -> None:
    """Also where upstream had announced a length; the connection is good for the next request."""
    pool.a.script(act, answer(STREAM, **SSE))
    with connect(pool.proxy) as connection:
        connection.sendall(raw_request())
        _, _, body = read_answer(connection).partition(b"\r\n\r\n")
        connection.sendall(raw_request())
        assert b"message_stop" in read_answer(connection)
    stream = b"".join(line for i, line in enumerate(body.split(b"\r\n")) if i % 2)
    got = events(stream)
    assert [name for name, _ in got][-1] == "error"
    assert got[-1][1]["error"]["type"] == "overloaded_error"
    assert stream.startswith(START + BLOCK + HELLO)


def test_the_client_is_given_a_reason(pool: Pool) -> None:
    pool.a.script(answer(error("invalid_request_error"), "400 ", **JSON))
    with connect(pool.proxy) as connection:
        connection.sendall(raw_request())
        assert read_answer(connection).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("value", ["0", "-5", "0.1", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_a_wait_that_is_none_is_a_second(pool: Pool, value: str) -> None:
    pool.a.script(answer(error("rate_limit_error"), "429 ", retry_after=value))
    assert pool.ask().headers["x-neurolink-account"] == "b"
    assert pool.cooling
    assert pool.proxy.rows.attempts[-2].cooldownMs >= 1000 or pool.proxy.rows.wait()


@pytest.mark.parametrize(("value", "told"), [("-5", "1"), ("7", "7"), ("soon", None)])
def test_the_client_is_told_no_nonsense(pool: Pool, value: str, told: str | None) -> None:
    pool.a.script(answer(error("invalid_request_error"), "400 x", retry_after=value))
    assert pool.ask().headers.get("retry-after") == told


def test_the_answer_to_a_head_has_no_body(pool: Pool) -> None:
    pool.a.script(says(head(content_length="7", **JSON)), answer(STREAM, **SSE))
    with connect(pool.proxy) as connection:
        connection.sendall(raw_request(b"", "/v1/files/f", "HEAD"))
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        assert b"content-length: 7" in received
        assert received.endswith(b"\r\n\r\n")
        connection.sendall(raw_request())
        assert b"message_stop" in read_answer(connection)


def test_an_answer_that_was_not_to_be_streamed(pool: Pool) -> None:
    pool.a.script(answer(STREAM, **SSE))
    assert pool.ask(stream=False).content == STREAM
    pool.a.script(answer(MESSAGE, **JSON))
    assert pool.ask(stream=True).json() == json.loads(MESSAGE)
