from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.request.trace_context import Caller, caller

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    "traceparent",
    [
        f"00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-00",
        f" 00-{TRACE}-{SPAN}-01\t",
        f"cc-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
    ],
    ids=["sampled", "not-sampled", "spaces", "newer", "newer-and-longer"],
)
def test_the_span_a_caller_names(traceparent: str) -> None:
    found = caller(traceparent)
    assert found
    assert (found.trace_id, found.span_id) == (TRACE, SPAN)


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_the_caller_says_whether_it_records(flags: str, sampled: bool) -> None:
    assert caller(f"00-{TRACE}-{SPAN}-{flags}") == Caller(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[1:]}-01",
        f"0g-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00_{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01",
    ],
    ids=["none", "empty", "bare", "no-flags", "empty-flags", "short-flags", "longer", "dash",
         "no-dash", "newer-no-dash", "version-ff", "short-version", "capitals", "zero-trace",
         "zero-span", "short-trace", "long-trace", "short-span", "bad-version", "bad-flags",
         "bad-dash", "two"],
)  # fmt: skip
def test_what_breaks_the_form_names_none(traceparent: str | None) -> None:
    """The cases of https://github.com/w3c/trace-context/tree/main/test"""
    assert caller(traceparent) is None


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*"))
def test_a_trace_is_named_or_not(traceparent: str) -> None:
    found = caller(traceparent)
    assert found is None or (
        len(found.trace_id) == 32 and int(found.trace_id, 16) and found.trace_id in traceparent
    )
