from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core import request_head
from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.request_head import body_size, fault, opening_fault

LINE = b"POST /v1/messages HTTP/1.1"


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [b"host: localhost", b"x-empty:", b"x-tab: a\tb", b"x-latin: caf\xe9"],
        [b"!#$%&'*+-.^_`|~09azAZ: every character of a token"],
        [b"host:no-space", b"x: \t around \t"],
    ],
    ids=["none", "usual", "token", "spaces"],
)
def test_a_good_head(fields: list[bytes]) -> None:
    assert fault([LINE, *fields]) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET /x HTTP/1.0", None),
        (b"get /%zz?a=b#c\xe9 HTTP/1.1", None),
        (b"NONSENSE", request_head.NO_HTTP),
        (b"", request_head.NO_HTTP),
        (b"GET / FTP/1.1", request_head.NO_HTTP),
        (b"GET  / HTTP/1.1", request_head.NO_HTTP),
        (b"GET / HTTP/1.1 ", request_head.NO_HTTP),
        (b" GET / HTTP/1.1", request_head.NO_HTTP),
        (b"GET\t/ HTTP/1.1", request_head.NO_HTTP),
        (b"GET /a b HTTP/1.1", request_head.NO_HTTP),
        (b"GET /\x00 HTTP/1.1", request_head.NO_HTTP),
        (b"GET /\x0b HTTP/1.1", request_head.NO_HTTP),
        (b"GET /\x7f HTTP/1.1", request_head.NO_HTTP),
        (b"GET /\r HTTP/1.1", request_head.NO_HTTP),
        (b"G(T / HTTP/1.1", request_head.NO_HTTP),
        (b"A" * 33 + b" / HTTP/1.1", request_head.NO_HTTP),
        (b"GET /", request_head.NO_HTTP),
        (b"GET / HTTP/9", request_head.NO_HTTP),
        (b"GET / http/1.1", request_head.NO_HTTP),
        (b"PRI * HTTP/2.0", request_head.VERSION),
        (b"GET / HTTP/1.2", request_head.VERSION),
        (b"GET / HTTP/0.9", request_head.VERSION),
        (b"CONNECT api.anthropic.com:443 HTTP/1.1", request_head.TUNNEL),
        (b"CONNECT /v1/messages HTTP/1.1", request_head.TUNNEL),
        (b"GET http://localhost/v1/models HTTP/1.1", request_head.FORWARD),
        (b"GET HTTPS://api.anthropic.com/ HTTP/1.1", request_head.FORWARD),
        (b"GET localhost:80 HTTP/1.1", request_head.FORWARD),
        (b"OPTIONS * HTTP/1.1", request_head.FORWARD),
        (b"GET v1/models HTTP/1.1", request_head.FORWARD),
        (b"GET \\v1\\models HTTP/1.1", request_head.FORWARD),
    ],
)
def test_a_request_line(line: bytes, expected: Reply | None) -> None:
    assert fault([line, b"host: localhost"]) == expected
    assert opening_fault(line + b"\r\nhost: loc") == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b" folded", request_head.FOLDED),
        (b"\tfolded", request_head.FOLDED),
        (b"no colon", request_head.BAD_NAME),
        (b": no name", request_head.BAD_NAME),
        (b"x : space", request_head.BAD_NAME),
        (b"x y: space", request_head.BAD_NAME),
        (b"x\x00: nul", request_head.BAD_NAME),
        (b"x\r: cr", request_head.BAD_NAME),
        (b"\xc3\xa9: name", request_head.BAD_NAME),
        (b"x(y): name", request_head.BAD_NAME),
        (b"\r", request_head.BAD_NAME),
        (b"x: a\rb", request_head.BAD_VALUE),
        (b"x: end\r", request_head.BAD_VALUE),
        (b"x: a\x00b", request_head.BAD_VALUE),
        (b"x: \x1b[2J", request_head.BAD_VALUE),
        (b"x: \x0b", request_head.BAD_VALUE),
        (b"x: \x7f", request_head.BAD_VALUE),
    ],
)
@pytest.mark.parametrize("after", [[], [b"y: 1"]], ids=["last", "amid"])
def test_a_bad_field(field: bytes, expected: Reply, after: list[bytes]) -> None:
    assert fault([LINE, b"host: localhost", field, *after]) == expected


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"", None),
        (b"P", None),
        (b"POST", None),
        (b"POST /v1/mess", None),
        (b"GET / HTTP/1.1\r", None),
        (b"GET / HTTP/1.1\r\nhost", None),
        (b"SSH-2.0-OpenSSH_9.6\r\n", request_head.NO_HTTP),
        (b"\x05\x01\x00", request_head.NO_HTTP),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", request_head.NO_HTTP),
        (b"PING\r\n", request_head.NO_HTTP),
        (b"*1\r\n$4\r\nPING\r\n", request_head.NO_HTTP),
        (b"EHLO mail.example\r\n", request_head.NO_HTTP),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", request_head.NO_HTTP),
        (b"\x00\x00\x00\x54\xff\x53\x4d\x42", request_head.NO_HTTP),
        (b"{", request_head.NO_HTTP),
        (b" ", request_head.NO_HTTP),
        (b"\r", None),
        (b"\rG", request_head.NO_HTTP),
        (b"A" * 32, None),
        (b"A" * 33, request_head.NO_HTTP),
    ],
)  # fmt: skip
def test_a_beginning(start: bytes, expected: Reply | None) -> None:
    assert opening_fault(start) == expected


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ([], 0),
        ([(b"Content-Length", b"0")], 0),
        ([(b"content-length", b"12")], 12),
        ([(b"Transfer-Encoding", b"Chunked")], None),
        ([(b"transfer-encoding", b"chunked \t")], None),
    ],
    ids=["none", "zero", "length", "chunked", "space"],
)
def test_the_size_of_a_body(fields: list[tuple[bytes, bytes]], size: int | None) -> None:
    assert body_size(tuple(fields), http10=False) == size


LENGTHS = [b"", b"ten", b"-1", b"+1", b"1.0", b"0x10", b"1e3", b"007", b"1 2", b"1,1", b"5, 5", b"\xb2",
           b"1_000", b"9" * 19, b"9" * 5000]  # fmt: skip
CODINGS = [b"", b"gzip", b"identity", b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"xchunked",
           b"chunked;q=1", b"\x0bchunked", b"chunked\x00", b"\xe2\x84\xaachunked", b"chun ked",
           b'"chunked"', b"chunked,"]  # fmt: skip
TWO = {
    "length-and-coding": [(b"content-length", b"3"), (b"transfer-encoding", b"chunked")],
    "two-lengths": [(b"content-length", b"3"), (b"Content-Length", b"4")],
    "same-lengths": [(b"content-length", b"3"), (b"content-length", b"3")],
    "two-codings": [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
}


@pytest.mark.parametrize(
    "fields",
    [
        *([(b"content-length", value)] for value in LENGTHS),
        *([(b"transfer-encoding", value)] for value in CODINGS),
        *TWO.values(),
    ],
)
def test_a_body_whose_end_is_unclear(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ValueError, match=r"content-length|transfer-encoding"):
        body_size(tuple(fields), http10=False)


def test_chunks_take_http_1_1() -> None:
    with pytest.raises(ValueError, match=r"HTTP/1\.1"):
        body_size(((b"transfer-encoding", b"chunked"),), http10=True)


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), min_size=1))
def test_no_bytes_make_it_raise(lines: list[bytes]) -> None:
    fault(lines)
    opening_fault(b"\n".join(lines))


def _seconds(lines: list[bytes]) -> float:
    began = time.process_time()
    for _ in range(10):
        fault(lines)
    return time.process_time() - began


@pytest.mark.parametrize("unit", [b"x: a", b"x:\r", b":", b"a", b" "], ids=repr)
@pytest.mark.parametrize("shape", ["many lines", "one line"])
def test_twice_the_input_takes_at_most_2_5_times_as_long(unit: bytes, shape: str) -> None:
    def head(count: int) -> list[bytes]:
        return [LINE, *([unit] * count if shape == "many lines" else [unit * count])]

    once, twice = (min(_seconds(head(n)) for _ in range(5)) for n in (8000, 16_000))
    assert twice < 2.5 * once + 0.005
