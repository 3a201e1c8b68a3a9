"""What is sent means the same to every server."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.exchange import Kind, Reply
from neurolink_mitm.core.request import head as request_head
from neurolink_mitm.core.request.head import (
    COUNT_TOKENS_PATH,
    MAX_PATH,
    MESSAGES_PATH,
    body_size,
    fault,
    is_plain,
    opening_fault,
)
from neurolink_mitm.core.request.routing import kind_of
from tests.linear import cpu_seconds

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


PREFIX = "/gateway/team"
"""Of a base URL; what is sent on must not leave it."""


def goes(path: str, method: str = "POST") -> bool:
    return is_plain(kind_of(method, path), method, path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages",
        "/v1/messages?beta=true",
        "/v1/messages?x=/../%2e%2e/api",
        "/v1/messages/count_tokens",
        "/v1/messages/batches/msgbatch_01/results",
        "/v1/files",
        "/v1/files/file_011CN/content",
        "/v1/models/claude-3-5-haiku@20241022",
        "/v1/models/claude-3-5-haiku%4020241022",
        "/v1/models/anthropic.claude-v2:1",
        "/v1/models/anthropic.claude-v2%3A1",
        "/v1/skills/a%20b",
        "/v1/x/~user/...x",
        "/v1/",
    ],
)
def test_paths_of_the_api_go_on_an_account(path: str) -> None:
    assert goes(path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../api/oauth/profile",
        "/v1/./../x",
        "/v1/./files",
        "/v1/..",
        "/v1/.",
        "/v1/x/../messages",
        "/v1/%2e%2e/api/oauth/profile",
        "/v1/%2E%2E/api",
        "/v1/.%2e/api",
        "/v1/..%2fapi",
        "/v1/..%2Fapi",
        "/v1/x%2f..%2f..%2fapi",
        "/v1/..\\api",
        "/v1\\..\\api",
        "/v1/..%5capi",
        "/v1/..%5Capi",
        "/v1/%252e%252e/api",
        "/v1/%25252e%25252e/api",
        "/v1/..%252fapi",
        "/v1/..;/api",
        "/v1/..;x=y/api",
        "/v1/.;/../api",
        "/v1/files;x",
        "/v1/messages;x=y",
        "/v1//files",
        "/v1//../api",
        "/v1/files//x",
        "/v1/.\t./api",
        "/v1/..%09/api",
        "/v1/..%00/api",
        "/v1/..%20/api",
        "/v1/.. /api",
        "/v1/%20../api",
        "/v1/..%0d%0a/api",
        "/v1/..%3f/api",
        "/v1/..%23/api",
        "/v1/..#/api",
        "/v1/files#/../../api",
        "/v1/files?a#b",
        "/v1/\uff0e\uff0e/api",
        "/v1/%ef%bc%8e%ef%bc%8e/api",
        "/v1/%c0%ae%c0%ae/api",
        "/v1/%e0%80%ae%e0%80%ae/api",
        "/v1/..%c0%afapi",
        "/v1/..\u2215api",
        "/v1/\u2025/api",
        "/v1/%u002e%u002e/api",
        "/v1/%uff0e%uff0e/api",
        "/v1/\udcc0\udcae/api",
        "/v1/...",
        "/v1/x./api",
        "/v1/%",
        "/v1/%zz",
        "/v1/Messages",
        "/v1/MESSAGES/count_tokens",
        "/v1/messages/",
        "/v1/messages/Count_Tokens",
        "/v1/messages/count_tokens/",
        "/v1/messages%20",
        "/v1/%6dessages",
        "/v1/messages/count%5ftokens",
        "/v1/me\u017f\u017fages",
        "/v1/messages.",
        "/v1/" + "x" * MAX_PATH,
    ],
)
def test_what_a_server_may_read_otherwise_goes_on_no_account(path: str) -> None:
    assert not goes(path)
    assert kind_of("POST", path) is Kind.API or path.startswith("/v1\\")


def test_a_method_that_a_server_may_read_otherwise_is_not_sent() -> None:
    assert not goes(MESSAGES_PATH, method="post")
    assert goes(MESSAGES_PATH, method="GET")


@pytest.mark.parametrize(
    "path",
    [
        "/api/oauth/profile",
        "/api/event_logging/batch?x=../y",
        "/api//x",
        "/api/v1/messages",
        "/api/claude_cli/a%2Fb;c",
        "/caf%C3%A9/é",
        "/.well-known/x",
        "/v10/messages",
        "/v1",
        "/",
    ],
)
def test_other_paths_are_forwarded(path: str) -> None:
    assert kind_of("POST", path) is Kind.FORWARD
    assert goes(path)


@pytest.mark.parametrize(
    "path",
    [
        "//v1/messages",
        "/V1/messages",
        "/%76%31/messages",
        "/%2576%2531/messages",
        "/\\v1/files",
        "\\v1/files",
        "v1/files",
        "/x/../v1/messages",
        "/x/%2e%2e/v1/files",
        "/x/..%2fv1/files",
        "/x/..;/v1/files",
        "/v1;x/messages",
        "/;x/v1/messages",
        "/./v1/messages",
        "/%20/v1/messages",
        "/v1%20/messages",
        "/v1./messages",
        "/v1%2fmessages",
        "/v1%5cmessages",
        "/v1%3f/messages",
        "/v1\t/messages",
        "/%00/v1/messages",
        "/\uff56\uff11/messages",
        "/v\u00b9/messages",
        "/v\u200b1/messages",
        "/%c0%ae%c0%ae/v1",
        "/%u0076%u0031/messages",
        "/../x",
        "/a/..",
        "/%252e%252e/x",
        "/\u00e9" + "x" * 1024,
        "/%" + "25" * 9 + "2e./x",
        "*",
    ],
)
def test_what_a_server_may_take_for_the_api_is_not_forwarded(path: str) -> None:
    assert kind_of("POST", path) is Kind.FORWARD
    assert not goes(path)


@pytest.mark.parametrize("kind", [Kind.API, Kind.FORWARD])
@pytest.mark.parametrize(
    "unit", ["%25", "%", " .", ".", "/a", "%20", "\u00e9", "\ufdfa", "%EF%B7%BA", "; ", "a."]
)
def test_it_holds_up_nobody(kind: Kind, unit: str) -> None:
    """A path is bounded, so that no more than 20 ms pass, whatever it is; a character may fold into eighteen."""
    for size in (1000, MAX_PATH - 10):
        path = "/v1/" * (kind is Kind.API) + "/" + unit * (size // len(unit))
        assert cpu_seconds(lambda path: is_plain(kind, "POST", path), path) < 0.02


# --- what servers make of a path

Reading = Callable[[str], str]


def _decoded(times: int) -> Reading:
    def reading(path: str) -> str:
        for _ in range(times):
            path = unquote(path, errors="surrogateescape")
        return path

    return reading


def _resolved(path: str) -> str:
    """RFC 3986 section 5.2.4."""
    kept: list[str] = []
    for part in path.split("/")[1:]:
        if part == "..":
            del kept[-1:]
        elif part != ".":
            kept.append(part)
    return "/" + "/".join(kept)


CHOICES: tuple[tuple[Reading, ...], ...] = (
    tuple(_decoded(times) for times in range(4)),
    (str, lambda path: path.replace("\\", "/")),
    (str, lambda path: re.split(r"[?#\0]", path)[0]),
    (str, lambda path: re.sub(r"[\x00-\x20\x7f]", "", path)),
    (str, lambda path: re.sub(r";[^/]*", "", path)),
    (str, lambda path: unicodedata.normalize("NFKC", path)),
    (str, lambda path: re.sub(r"[ .]+(?=/|\Z)(?<!/\.\.)(?<!/\.)", "", path)),
    (str, lambda path: re.sub(r"/+", "/", path)),
    (str, str.casefold),
    (_resolved,),
)
"""Each server takes one of each, in this order."""
PARTS = ("/", "/", "/", "v1", "V1", "messages", "count_tokens", "x", "api", ".", "..", "...", "%2e", "%2E",
         "%252e", "%2f", "%252f", "\\", "%5c", ";x", ";", "\t", "%09", "%00", "%20", " ", "?", "%3f", "#", "%23",
         "\uff0e", "\uff0f", "\uff3c", "\u2025", "\u017f", "%76", "%31", "%6d", "%", "%25", "%c0%ae", "%40",
         "\u00b9")  # fmt: skip


def readings(path: str) -> set[str]:
    """What all servers make of it."""
    found = {path}
    for steps in CHOICES:
        found = {step(each) for step in steps for each in found}
    return found


@given(
    st.sampled_from(["/v1/", "/", "", "/v1/messages", "/x/"]),
    st.lists(st.sampled_from(PARTS), max_size=7),
)
def test_no_server_takes_it_out_of_its_place(start: str, parts: list[str]) -> None:
    path = start + "".join(parts)
    kind, bare = kind_of("POST", path), path.partition("?")[0]
    if not is_plain(kind, "POST", path):
        return
    for read in readings(PREFIX + bare):
        place = read.removeprefix(PREFIX).lower()
        assert read.startswith(PREFIX + "/"), read
        assert place.startswith("/v1/") == (kind is not Kind.FORWARD), read
        if kind is Kind.API:
            assert place.rstrip("/") not in (MESSAGES_PATH, COUNT_TOKENS_PATH), read


@given(st.text(st.sampled_from("/.%25e2fFvV1;\\ a"), max_size=40))
def test_nor_with_any_letters(path: str) -> None:
    test_no_server_takes_it_out_of_its_place.hypothesis.inner_test("/v1/", [path])  # type: ignore[attr-defined]
