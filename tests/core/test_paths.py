"""What is sent means the same to every server."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.paths import COUNT_TOKENS_PATH, MAX_PATH, MESSAGES_PATH, is_plain
from neurolink_mitm.core.routing import kind_of
from tests.linear import cpu_seconds

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
