from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.body import (
    BodyIndex,
    MessagesRequest,
    read_body,
    session_in_user_id,
    takes_long,
)
from neurolink_mitm.core.request.json_spans import Edit

GOOD: dict[str, Any] = {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]}


def asked(**more: Any) -> MessagesRequest:
    return read_body(json.dumps(GOOD | more).encode())


def test_the_least_that_can_be_asked() -> None:
    assert asked() == MessagesRequest("claude-x", stream=False, tool_count=0, session_id=None)


def test_all_that_is_read() -> None:
    more = {
        "stream": True,
        "tools": [{}, {"name": "b"}],
        "metadata": {"user_id": "u_session_12345678"},
    }
    assert asked(**more) == MessagesRequest("claude-x", True, 2, "12345678", "u_session_12345678")


@pytest.mark.parametrize(
    "more",
    [
        {"stream": None, "tools": None, "metadata": None},
        {"stream": False, "tools": [], "metadata": {}},
        {"metadata": {"user_id": None}},
        {"messages": []},
        {"messages": [1, "two", [3]], "system": {"odd": True}},
    ],
    ids=["null", "empty", "no-user", "no-messages", "odd-messages"],
)
def test_what_is_not_there_is_not_asked_for(more: dict[str, Any]) -> None:
    assert asked(**more) == MessagesRequest("claude-x", stream=False, tool_count=0, session_id=None)


@pytest.mark.parametrize(
    ("body", "explained"),
    [
        (b"", "the body is not valid JSON: Input data was truncated"),
        (b"hi", "the body is not valid JSON: JSON is malformed: invalid character (byte 0)"),
        (b"{}", "missing required field `model`"),
        (b'{"model":"m"}', "missing required field `messages`"),
        (b'{"model":1,"messages":[]}', "Expected `str`, got `int` - at `model`"),
        (b'{"model":"m","messages":"hi"}', "Expected `array`, got `str` - at `messages`"),
        (
            b'{"model":"m","messages":[],"stream":"yes"}',
            "Expected `bool | null`, got `str` - at `stream`",
        ),
        (
            b'{"model":"m","messages":[],"metadata":{"user_id":7}}',
            "Expected `str | null`, got `int` - at `metadata.user_id`",
        ),
        (b"[]", "Expected `object`, got `array`"),
        (b"[" * 200_000, "Expected `object`, got `array`"),
        (b'{"x":' + b"[" * 200_000, "the body is nested too deeply"),
    ],
    ids=["empty", "text", "nothing", "no-messages", "model", "messages", "stream", "user-id",
         "list", "deep-list", "deep"],
)  # fmt: skip
def test_a_bad_body_is_explained(body: bytes, explained: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(explained)}$"):
        read_body(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"\xff","messages":[]}',
        b'{"model":"\\ud800","messages":[]}',
        b"\xff\xfe{\x00}\x00",
    ],
    ids=["no-utf-8", "half-a-surrogate", "utf-16"],
)
def test_a_body_that_is_no_text_is_not_valid_json(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^the body is not valid JSON: "):
        read_body(body)


def test_a_hostile_session_does_not_make_the_body_bad() -> None:
    """It is only looked at for the log."""
    assert asked(metadata={"user_id": '{"x":' + "[" * 200_000}).session_id is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("model", "messages", "stream", "tools", "metadata"), json_values),
    ).map(lambda value: json.dumps(value).encode())
)
def test_a_body_is_read_or_refused(body: bytes) -> None:
    try:
        seen = read_body(body)
    except ValueError:
        return
    assert isinstance(seen.model, str)


# The index

FOREIGN = {"type": "thinking", "thinking": "hm", "signature": ""}
ODD_ID = {"type": "tool_use", "id": "a.b", "name": "x", "input": {}}


def index_of(**more: Any) -> BodyIndex:
    index = asked(**more).index
    assert index is not None
    return index


@pytest.mark.parametrize(
    ("content", "acceptable"),
    [("hi", True), ([{"type": "text"}], True), ([FOREIGN | {"signature": "abc"}], True),
     ([FOREIGN], False), ([FOREIGN | {"signature": 7}], False), ([ODD_ID], False), ([7], True)],
    ids=["text", "block", "signed", "unsigned", "no-signature", "odd-id", "no-conversation"],
)  # fmt: skip
@pytest.mark.parametrize("padding", [0, 600_000], ids=["short", "long"])
def test_whether_the_history_is_acceptable(content: Any, acceptable: bool, padding: int) -> None:
    messages = [{"role": "assistant", "content": content}]
    assert index_of(messages=messages, system="x" * padding).acceptable == acceptable


@pytest.mark.parametrize(
    ("body", "long"),
    [(b"{" * 100_000, False), (b"{" * 200_000, True), (b"x" * 500_000, False), (b"x" * 600_000, True)],
    ids=["few-bytes", "many-objects", "few-objects", "many-bytes"],
)  # fmt: skip
def test_what_is_read_beside_the_event_loop(body: bytes, long: bool) -> None:
    assert takes_long(body) == long


def test_a_long_request_says_the_same() -> None:
    more = {"stream": True, "tools": [{}, {}], "metadata": {"user_id": "u_session_12345678"}}
    assert asked(**more, system="x" * 600_000) == asked(**more)


def test_members_are_found_by_name_whatever_way_it_is_written() -> None:
    body = b' { "messages": [{"model": "decoy"}], "mod\\u0065l" : "m" } '
    span = BodyIndex(body).member("model")
    assert span is not None
    assert span.of(body) == b'"m"'


@pytest.mark.parametrize(
    "body",
    [b'{"model":"a","messages":[],"model":"b"}', b'{"model":"a","mod\\u0065l":"b","messages":[]}'],
    ids=["twice", "twice-with-an-escape"],
)
def test_of_a_member_that_occurs_twice_no_span_is_right(body: bytes) -> None:
    index = read_body(body).index
    assert index is not None
    with pytest.raises(ValueError, match="occurs twice"):
        index.member("model")


MEMBERS = st.dictionaries(st.text('abé"\\', max_size=2), json_values, min_size=1, max_size=5)


@given(MEMBERS, st.booleans(), st.data())
def test_spans_follow_the_edits(
    request: dict[str, Any], ascii_only: bool, data: st.DataObject
) -> None:
    index = BodyIndex(json.dumps(request, ensure_ascii=ascii_only).encode())
    for new in data.draw(st.lists(json_values, max_size=3)):
        part = data.draw(st.sampled_from(list(index.members)))
        index = index.edited([Edit(part.value, json.dumps(new).encode())])
        request = request | {part.name: new}
        assert json.loads(index.body) == request
    assert list(index.members) == spans.parts(index.body, spans.root(index.body))


@given(MEMBERS)
def test_spans_follow_a_member_that_comes_or_goes(request: dict[str, Any]) -> None:
    index = BodyIndex(json.dumps(request).encode())
    more = index.edited([index.add("new", b"[1]")])
    assert list(more.members) == spans.parts(more.body, spans.root(more.body))
    fewer = more.edited(spans.without(more.members, more.members[:1]))
    assert list(fewer.members) == spans.parts(fewer.body, spans.root(fewer.body))


def test_the_index_of_the_edited_body_is_remembered() -> None:
    index = index_of()
    edited = index.edited([index.add("new", b"1")])
    index.follow(edited)
    assert index.of(edited.body) is edited
    assert index.of(index.body) is index  # the next attempt begins with the client's


def test_of_a_body_that_somebody_else_has_changed_it_is_made_anew() -> None:
    index = index_of()
    span = index.of(b'{"model":"other"}').member("model")
    assert span is not None
    assert span.start == 9


def test_without_edits_it_is_the_same() -> None:
    index = index_of()
    assert index.edited([]) is index


# The session


SESSION = "8f1c6f9e-3f4c-4b7e-9d8b-0123456789ab"
DEVICE = "user_" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "user_id",
    [
        f"{DEVICE}_account_1d2e3f40-0000-4000-8000-000000000000_session_{SESSION}",
        f"{DEVICE}_account__session_{SESSION}",
        json.dumps({"device_id": "d", "account_uuid": "", "session_id": SESSION}),
        json.dumps({"session_id": SESSION}),
        f"x_session_first_session_{SESSION}",
    ],
    ids=["legacy", "legacy-without-account", "json", "json-alone", "the-last-one"],
)
def test_claude_codes_session(user_id: str) -> None:
    assert session_in_user_id(user_id) == SESSION


def test_an_old_session_may_be_in_capitals() -> None:
    assert session_in_user_id(f"u_session_{SESSION.upper()}") == SESSION.upper()


@pytest.mark.parametrize(
    "user_id",
    [
        None,
        "",
        "somebody",
        SESSION,
        f"u_session_{SESSION}_x",
        "u_session_",
        "u_session_1234567",
        f"u_session_{'0' * 65}",
        "u_session_not-hex-at-all",
        "{}",
        "{not json",
        '{"session_id": 7}',
        '{"session_id": null}',
        '{"session_id": "\udc80"}',
        '{"session_id": ' + "[" * 200_000,
    ],
    ids=["none", "empty", "other", "bare", "followed", "cut", "short", "long", "no-hex",
         "json-without", "no-json", "number", "null", "surrogate", "deep"],
)  # fmt: skip
def test_no_session(user_id: str | None) -> None:
    assert session_in_user_id(user_id) is None


@given(st.text() | st.text().map("{".__add__))
def test_no_user_id_makes_it_raise(user_id: str) -> None:
    session_in_user_id(user_id)
