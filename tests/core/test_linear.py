"""What sees foreign bytes takes time that is linear in them, whatever they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.redaction import redact, without_passwords
from neurolink_mitm.core.redaction_body import redact_body
from neurolink_mitm.core.redaction_stream import redact_stream
from neurolink_mitm.core.shaping.detectors import KINDS, finders, found_in
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
    "event: ", "\U0001f600", "\u0130", "fe80::1.",
]  # fmt: skip
DELTA = (
    'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"TOKEN=abcdef1 "}}\n\n'
)
NAMED = {
    "spaces after a list": ('"api_keys": [', " ", "x"),
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
