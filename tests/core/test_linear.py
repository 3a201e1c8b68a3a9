"""What sees foreign bytes takes time that is linear in them, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.redact.body import redact_body
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.stream import redact_stream
from neurolink_mitm.core.redact.text import redact, without_passwords
from neurolink_mitm.core.request import json_spans
from neurolink_mitm.core.request.body import BodyIndex, read_body
from neurolink_mitm.core.request.history import signatures
from neurolink_mitm.core.response.sse import SseReader
from neurolink_mitm.core.shaping.detectors import KINDS, finders, found_in
from neurolink_mitm.core.shaping.outgoing import About, OutgoingRequest
from neurolink_mitm.core.shaping.rewriters import SystemBlocks
from neurolink_mitm.core.shaping.session_identity import SessionIdentity
from neurolink_mitm.core.shaping.word_obfuscator import WordObfuscator
from neurolink_mitm.doctor.support_bundle import Censor
from tests.linear import assert_linear, repeated

BY = finders(["bluebird", "k\u00fchlhaus"], (), KINDS, ["corp.example"])
PASSES: dict[str, Callable[[str], object]] = {
    "redact": redact,
    "passwords": without_passwords,
    "body": redact_body,
    "known": lambda text: redact_body(text, ("sk-ant", "aaa", "\\")),
    "stream": redact_stream,
    "detectors": lambda text: found_in(text, BY),
    "quick": lambda text: [each.may(text) for each in BY],
}
PIECES = [
    *" \n aA1\u00e9.-_:=@?&/\\\"'[]{}", "::", "eyJ", "-eyJ", "eyJ.", "sk-", "sk-ant-", "SG.", "gh", "bearer", "Bearer ",
    "hooks.slack.com/", "a.a.", "@a", "a@a.", "://", '"api_keys": [', '"token":', '\\"', '\\"token\\"',
    "TOKEN=", "TOKEN: ",
    "API_KEY", "PRIVATE KEY", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----END ", "-----END PRIVATE KEY-----",
    "curl", " -u ", "curl -u a", "authorization:", "cookie: ", "x-api-key:", "AccountKey=", "secret_access_key",
    "?key=", "1.1.1.", "a:b", ":::::: ", "bluebird", "corp.example", ".corp.example", "data: ", 'data: {"type":"x"}\n',
    "event: ", "nl1.ey", "nl1.eyJ0eXBlIjoidGhpbmtpbmci ", "\U0001f600", "\u0130", "fe80::1.",
]  # fmt: skip
DELTA = (
    'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"TOKEN=abcdef1 "}}\n\n'
)
NAMED = {
    "spaces after a list": ('"api_keys": ["', " ", "x"),
    "escaped quotes": ('"token":"', '\\"', ""),
    "backslashes": ("", "\\", '"'),
    "backslashes and names": ("", '\\"token\\"', ""),
    "web tokens that are none": ("", "-eyJ", ""),
    "private keys without an end": ("", "-----BEGIN PRIVATE KEY-----", ""),
    "ends without a key": ("", "-----END PRIVATE KEY-----", ""),
    "colon runs": ("", ":" * 120 + " ", ""),
    "addresses": ("", "a" * 63 + "@", ""),
    "labels": ("", "a.", "corp.example"),
    "dots": ("", ".", "corp.example"),
    "calls of curl": ("", "curl -u aaaaaaa ", ""),
    "words of curl": ("", "curl ", ""),
    "letters": ("", "a", "@"),
    "deltas": ("", DELTA, ""),
}  # fmt: skip


@pytest.mark.parametrize("do", PASSES.values(), ids=PASSES.keys())
@pytest.mark.parametrize(("before", "unit", "after"), NAMED.values(), ids=NAMED.keys())
def test_what_took_seconds(do: Callable[[str], object], before: str, unit: str, after: str) -> None:
    assert_linear(do, repeated(unit, before, after))


@pytest.mark.parametrize("do", PASSES.values(), ids=PASSES.keys())
@settings(max_examples=15)
@given(
    st.lists(st.sampled_from(PIECES), max_size=3).map("".join),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=2).map("".join),
)
def test_whatever_comes_again_and_again(
    do: Callable[[str], object], before: str, unit: str, after: str
) -> None:
    assert_linear(do, repeated(unit, before, after))


def request(blocks: bytes) -> bytes:
    return b'{"model":"m","messages":[{"role":"assistant","content":[%s]}]}' % blocks


def listed(unit: bytes) -> Callable[[int], bytes]:
    """Requests with so many bytes of one block, of one message, or of one member."""
    return lambda size: request(b",".join([unit] * (size // len(unit) + 1)))


@pytest.fixture
def _in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """As large ones are read."""
    monkeypatch.setattr(json_spans, "LARGE", 1 << 11)
    monkeypatch.setattr(json_spans, "_GROUP", 1 << 10)


BLOCKS = {
    "unsigned": b'{"type":"thinking","thinking":"","signature":""}',
    "signed": b'{"type":"thinking","thinking":"","signature":"abc"}',
    "odd ids": b'{"type":"tool_use","id":"a.b","name":"x","input":{}}',
    "odd ids, spaced": b'{ "type" : "tool_use", "id" : "a.b" }',
    "ids twice": b'{"type":"tool_use","id":"a.b","input":{"id":"a"}}',
    "blank": b'{"type":"text","text":"\\n"}',
    "calls without input": b'{"type":"tool_use","id":"a"}',
    "objects": b"{}",
    "lists": b'{"type":"tool_result","content":[[],[]]}',
    "strings": b'{"type":"text","text":"a@b.example\\n\\"\\u00e9"}',
    "free": b'{"type":"tool_use","id":"a","input":{"a":"bluebird","b":["\\\\"]}}',
}


def obfuscated(body: bytes) -> object:
    draft = OutgoingRequest(About(Kind.MESSAGES, "work"), (), body)
    return WordObfuscator(b"key", BY).rewrite(draft)


def identified(body: bytes) -> object:
    about = About(Kind.MESSAGES, "work", account_uuid="u", claude_code=False)
    return SessionIdentity(b"key").rewrite(OutgoingRequest(about, (), body))


REQUESTS: dict[str, Callable[[bytes], object]] = {
    "history": lambda body: BodyIndex(body).sanitized(),
    "history without": lambda body: BodyIndex(body).without_thinking(),
    "signatures": signatures,
    "refused": lambda body: BodyIndex(body).sanitized({"x"}),
    "route": read_body,
    "words": obfuscated,
    "identity": identified,
    "system": lambda body: SystemBlocks(("x",)).rewrite(
        OutgoingRequest(About(Kind.MESSAGES, "w"), (), body)
    ),
}


@pytest.mark.parametrize("do", REQUESTS.values(), ids=REQUESTS.keys())
@pytest.mark.parametrize("unit", BLOCKS.values(), ids=BLOCKS.keys())
@pytest.mark.usefixtures("_in_groups")
def test_requests(do: Callable[[bytes], object], unit: bytes) -> None:
    assert_linear(do, listed(unit))


BODIES: dict[str, Callable[[int], bytes]] = {
    "messages": lambda n: b'{"model":"m","messages":[%s{}]}' % (b'{"content":[{}]},' * (n // 17)),
    "members": lambda n: (
        b'{"model":"m","messages":[],%s}' % b",".join(b'"%d":0' % i for i in range(n // 10))
    ),
    "user id": lambda n: (
        b'{"model":"m","messages":[],"metadata":{"user_id":"{%s"}}' % (b'\\"' * (n // 2))
    ),
    "metadata": lambda n: (
        b'{"model":"m","messages":[%s{}],"metadata":{}}' % (b'{"metadata":1},' * (n // 15))
    ),
    "levels": lambda n: request(b"[" * 200 + b'"%s"' % (b"a" * n) + b"]" * 200),
}


@pytest.mark.parametrize("do", REQUESTS.values(), ids=REQUESTS.keys())
@pytest.mark.parametrize("make", BODIES.values(), ids=BODIES.keys())
@pytest.mark.usefixtures("_in_groups")
def test_requests_of_other_shapes(
    do: Callable[[bytes], object], make: Callable[[int], bytes]
) -> None:
    def anyhow(body: bytes) -> None:
        with suppress(ValueError):
            do(body)

    assert_linear(anyhow, make)


@pytest.mark.parametrize(
    "unit", ["a", "a@", ".a", "a@a.", "://", "sk-", "@" * 9, "\u00e9@"], ids=repr
)
def test_reports(unit: str) -> None:
    assert_linear(Censor([Secret("hunter2")], "/home/me"), repeated(unit))


@pytest.mark.parametrize(
    "unit", [b"a", b"\n", b"\r", b"data: x\n", b"event: x\ndata: y\n\n", b":\n"], ids=repr
)
@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_events(unit: bytes, chunk: int) -> None:
    def read(stream: bytes) -> None:
        reader = SseReader()
        for at in range(0, len(stream), chunk):
            reader.feed(stream[at : at + chunk])

    assert_linear(read, repeated(unit))
