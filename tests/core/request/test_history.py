from __future__ import annotations

import itertools
import json
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.request.conversation import FOREIGN_SIGNATURE
from neurolink_mitm.core.request.history import signature_digest, signatures
from neurolink_mitm.core.request.tool_ids import tool_id
from neurolink_mitm.sandbox.history import check_history

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "eA=="}
TEXT = {"type": "text", "text": "hi"}
USE = {"type": "tool_use", "id": "t1", "name": "ls", "input": {"type": "thinking"}}
CLEAR_THINKING = {"type": "clear_thinking_20251015", "keep": "all"}
CLEAR_TOOLS = {"type": "clear_tool_uses_20250919"}


def without_thinking(body: bytes) -> bytes | None:
    """None where nothing changes."""
    index = BodyIndex(body).without_thinking()
    return None if index.body is body else index.body


def acceptable(body: bytes, refused: Collection[str] = ()) -> bytes:
    return BodyIndex(body).sanitized(refused).body


def turn(*blocks: Any, role: str = "assistant") -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def asked(*messages: Any, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": list(messages), **more}).encode()


def mended(body: bytes) -> dict[str, Any]:
    found = without_thinking(body)
    assert found is not None
    document = json.loads(found)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([turn(THOUGHT, TEXT)], [turn(TEXT)]),
        ([turn(REDACTED, TEXT)], [turn(TEXT)]),
        ([turn(THOUGHT, USE, THOUGHT, TEXT)], [turn(USE, TEXT)]),
        ([turn(TEXT, role="user"), turn(THOUGHT, TEXT)], [turn(TEXT, role="user"), turn(TEXT)]),
        ([turn(TEXT), turn(THOUGHT, REDACTED), turn(USE)], [turn(TEXT), turn(USE)]),
        ([turn(), turn(THOUGHT, TEXT)], [turn(TEXT)]),
        ([{"role": "user", "content": "thinking"}, turn(THOUGHT)],
         [{"role": "user", "content": "thinking"}]),
        ([{"role": "user"}, turn(THOUGHT)], [{"role": "user"}]),
        ([turn(THOUGHT)], []),
    ],
    ids=["first", "redacted", "interleaved", "second-turn", "only-thinking", "empty-turn",
         "string", "no-content", "nothing-left"],
)  # fmt: skip
def test_thinking_is_taken_out(before: list[Any], after: list[Any]) -> None:
    assert mended(asked(*before))["messages"] == after


@pytest.mark.parametrize(
    "message",
    [turn(TEXT, USE), turn(), {"role": "user", "content": "thinking"}, {"role": "user"},
     {"role": "user", "content": None}, turn({"text": "no type"})],
    ids=["blocks", "no-block", "string", "no-content", "null", "untyped"],
)  # fmt: skip
def test_where_there_is_none_nothing_is_made(message: dict[str, Any]) -> None:
    assert without_thinking(asked(message, thinking={"type": "adaptive"})) is None


def test_without_messages_there_is_none() -> None:
    assert without_thinking(asked()) is None


def test_thinking_is_off_for_this_request() -> None:
    """A turn in the middle of a tool call would have to begin with it."""
    body = asked(turn(THOUGHT, USE), thinking={"type": "enabled", "budget_tokens": 1024})
    assert "thinking" not in mended(body)


@pytest.mark.parametrize(
    ("edits", "left"),
    [
        ([CLEAR_THINKING], None),
        ([CLEAR_THINKING, CLEAR_TOOLS], {"edits": [CLEAR_TOOLS]}),
        ([CLEAR_TOOLS], {"edits": [CLEAR_TOOLS]}),
        ([], {"edits": []}),
    ],
    ids=["alone", "beside-another", "another", "none"],
)
def test_and_so_is_what_needs_it(edits: list[Any], left: dict[str, Any] | None) -> None:
    """`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive: a 400."""
    body = asked(turn(THOUGHT, TEXT), context_management={"edits": edits})
    assert mended(body).get("context_management") == left


@pytest.mark.parametrize("context", [None, {}, "odd", []])
def test_a_context_management_without_edits_stays(context: Any) -> None:
    body = asked(turn(THOUGHT, TEXT), context_management=context)
    assert mended(body)["context_management"] == context


def test_all_else_stays_byte_for_byte() -> None:
    body = (
        b'{ "max_tokens" : 1.0e2, "messages" : [ {"content": "a\\u00e9 b", "role" :"user"},\n'
        b' {"role":"assistant","content": [ {"type":"thinking"} , {"n": 1.50, "type": "text" } ]} ],'
        b' "system":[ {"text":"x" } ], "thinking": {"type":"adaptive"}, "stream":true }'
    )
    assert without_thinking(body) == (
        b'{ "max_tokens" : 1.0e2, "messages" : [ {"content": "a\\u00e9 b", "role" :"user"},\n'
        b' {"role":"assistant","content": [ {"n": 1.50, "type": "text" } ]} ],'
        b' "system":[ {"text":"x" } ], "stream":true }'
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no",
        b"[]",
        b"null",
        b"{}",
        b'{"messages":"hi"}',
        b'{"messages":[1]}',
        b'{"messages":[{"content":["hi"]}]}',
        b'{"messages":[{"content":[{"type":7}]}]}',
        b'{"messages":[{"\xff":1}]}',
        b'{"messages":[{"content":[{"type":"\xff"}]}]}',
        b'{"messages":' + b"[" * 200_000,
        b'{"messages":[{"content":[{"x":' + b"[" * 200_000,
    ],
    ids=["empty", "text", "list", "null", "no-messages", "string", "number", "bare-block", "type",
         "no-utf-8", "no-utf-8-type", "deep", "deep-block"],
)  # fmt: skip
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not "):
        without_thinking(body)


@given(st.binary() | st.binary().map(lambda inner: b'{"messages":[{"content":[' + inner + b"]}]}"))
def test_it_raises_nothing_else(body: bytes) -> None:
    with suppress(ValueError):
        without_thinking(body)


# --- Any conversation, written in any way

spaces = st.sampled_from(["", " ", "\n\t"])
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """As JSON, with spaces and escapes as somebody might set them."""
    if isinstance(value, dict):
        inner = [f"{draw(written(k))}{draw(spaces)}:{draw(written(v))}" for k, v in value.items()]
        return "{" + f"{draw(spaces)},".join(inner) + draw(spaces) + "}"
    if isinstance(value, list):
        inner = [draw(written(item)) for item in value]
        return "[" + f"{draw(spaces)},{draw(spaces)}".join(inner) + "]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


blocks = st.sampled_from([THOUGHT, REDACTED, TEXT, USE]) | st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "thinking_", "Thinking"]), "x": scalars}
)
words = st.text(max_size=5).map("a{}z".format)
contents = words | st.lists(blocks, min_size=1, max_size=4)
turns = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": contents})


def numbered(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same messages, in which no id of a call comes again."""
    count = itertools.count()
    for message in messages:
        if isinstance(message["content"], list):
            message["content"] = [
                {**b, "id": f"t{next(count)}"} if b["type"] == "tool_use" else b
                for b in message["content"]
            ]
    return messages


def thinks(block: dict[str, Any]) -> bool:
    return block["type"] in ("thinking", "redacted_thinking")


@settings(deadline=None)  # some take long to be made up
@given(
    st.data(),
    st.lists(turns, max_size=5).map(numbered),
    st.dictionaries(st.sampled_from("abc"), scalars),
)
def test_any_conversation(
    data: st.DataObject, messages: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    texts = [data.draw(written(message)) for message in messages]
    rest = "".join(f',"{name}": {data.draw(written(value))}' for name, value in more.items())
    found = without_thinking(f'{{"messages": [{", ".join(texts)}]{rest}}}'.encode())

    mixed = [
        m for m in messages if not isinstance(m["content"], str) and any(map(thinks, m["content"]))
    ]
    assert (found is None) == (mixed == [])
    if found is None:
        return
    kept = [
        m | {"content": [b for b in m["content"] if not thinks(b)]} if m in mixed else m
        for m in messages
    ]
    expected = [
        m for m, before in zip(kept, messages, strict=True) if m["content"] or before not in mixed
    ]
    assert json.loads(found) == {"messages": expected, **more}
    at = 0
    for message, text in zip(messages, texts, strict=True):
        if message not in mixed:
            at = found.index(text.encode(), at) + len(text.encode())


# --- What another provider has left in the history

UNSIGNED = {"type": "thinking", "thinking": "hm", "signature": ""}
ODD_USE = {"type": "tool_use", "id": "functions.Bash:0", "name": "ls", "input": {"id": "a.b"}}
ODD_RESULT = {"type": "tool_result", "tool_use_id": "functions.Bash:0", "content": "ok"}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "ok"}
OTHER_USE, OTHER_RESULT = {**USE, "id": "t2"}, {**RESULT, "tool_use_id": "t2"}
QUESTION = turn(TEXT, role="user")
ENABLED = {"type": "enabled", "budget_tokens": 1024}


def repaired(*messages: Any, refused: Any = (), **more: Any) -> dict[str, Any]:
    found = json.loads(acceptable(asked(*messages, **more), refused))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "block",
    [
        UNSIGNED,
        {"type": "thinking", "thinking": "hm", "signature": f"{FOREIGN_SIGNATURE}c2ln"},
        {"type": "redacted_thinking", "data": f"{FOREIGN_SIGNATURE}c2ln"},
    ],
    ids=["empty", "ours", "ours-redacted"],
)
def test_thinking_that_anthropic_has_not_signed_is_taken_out(block: dict[str, Any]) -> None:
    found = repaired(QUESTION, turn(block, TEXT), turn(THOUGHT, TEXT))
    assert found["messages"] == [QUESTION, turn(TEXT), turn(THOUGHT, TEXT)]


def test_and_thinking_without_the_member_once_something_else_is_foreign() -> None:
    bare = {"type": "thinking", "thinking": "hm"}
    assert repaired(turn(bare, TEXT), turn(UNSIGNED, TEXT))["messages"] == [turn(TEXT), turn(TEXT)]


def test_a_message_of_nothing_else_goes_too() -> None:
    assert repaired(QUESTION, turn(UNSIGNED), QUESTION)["messages"] == [QUESTION, QUESTION]


def test_a_signature_that_was_refused_goes() -> None:
    refused = {signature_digest("c2ln")}
    assert repaired(turn(THOUGHT, TEXT), refused=refused)["messages"] == [turn(TEXT)]
    assert repaired(turn(THOUGHT, TEXT), refused={"another"})["messages"] == [turn(THOUGHT, TEXT)]


def test_the_digests_of_all_thinking() -> None:
    body = asked(turn(THOUGHT, REDACTED), turn(UNSIGNED, TEXT))
    assert signatures(body) == {signature_digest("c2ln"), signature_digest("eA==")}


def test_tool_ids_become_such_as_anthropic_takes_and_still_belong_together() -> None:
    found = repaired(turn(ODD_USE), turn(ODD_RESULT, role="user"))["messages"]
    assert found[0]["content"] == [ODD_USE | {"id": tool_id("functions.Bash:0")}]
    assert found[1]["content"] == [ODD_RESULT | {"tool_use_id": tool_id("functions.Bash:0")}]


@pytest.mark.parametrize("odd", ["a.b", "", "x" * 65, "ü", 'q"', "a b"], ids=repr)
def test_an_id_of_another_form_is_found(odd: str) -> None:
    use = USE | {"id": odd}
    assert repaired(turn(use))["messages"] == [turn(use | {"id": tool_id(odd)})]


@pytest.mark.parametrize(
    "body",
    [
        asked(QUESTION, turn(THOUGHT, USE), turn(RESULT, role="user"), thinking=ENABLED),
        asked(QUESTION, tools=[{"name": "x", "input_schema": {"properties": {"id": "a.b"}}}]),
    ],
    ids=["anthropic's", "elsewhere"],
)
def test_what_is_not_foreign_is_the_same_object(body: bytes) -> None:
    assert acceptable(body) is body


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"messages": 1}'], ids=repr)
def test_what_is_no_conversation_has_nothing_to_sanitize(body: bytes) -> None:
    assert acceptable(body) is body
    with pytest.raises(ValueError, match=r"^not "):
        acceptable(body, {"x"})


@pytest.mark.parametrize(
    ("thinking", "messages", "stays"),
    [
        (ENABLED, [QUESTION, turn(UNSIGNED, USE), turn(RESULT, role="user")], False),
        ({"type": "adaptive"}, [QUESTION, turn(UNSIGNED, USE), turn(RESULT, role="user")], True),
        (ENABLED, [QUESTION, turn(UNSIGNED, TEXT), QUESTION], True),
        (ENABLED, [QUESTION, turn(UNSIGNED, TEXT), QUESTION, turn(THOUGHT, USE),
                   turn(RESULT, role="user")], True),
        (ENABLED, [QUESTION, turn(UNSIGNED, THOUGHT, USE), turn(RESULT, role="user")], True),
        (ENABLED, [QUESTION, turn(THOUGHT, USE), turn(RESULT, role="user"), turn(UNSIGNED, OTHER_USE),
                   turn(OTHER_RESULT, role="user")], True),
        (ENABLED, [QUESTION, turn(UNSIGNED, USE), turn(RESULT, role="user"), turn(UNSIGNED, OTHER_USE),
                   turn(OTHER_RESULT, role="user")], False),
    ],
    ids=["in a tool call", "adaptive", "turn is over", "an earlier turn", "begins with another",
         "thought before", "never thought"],
)  # fmt: skip
def test_thinking_is_off_where_the_turn_would_have_to_begin_with_it(
    thinking: dict[str, Any], messages: list[Any], stays: bool
) -> None:
    assert ("thinking" in repaired(*messages, thinking=thinking)) == stays


def test_the_same_history_becomes_the_same_bytes_turn_after_turn() -> None:
    """Else the prompt cache would be of no use."""
    one = [QUESTION, turn(UNSIGNED, ODD_USE), turn(ODD_RESULT, role="user")]
    two = [*one, turn(THOUGHT, TEXT), QUESTION]
    first = acceptable(json.dumps({"messages": one}).encode())
    second = acceptable(json.dumps({"messages": two}).encode())
    assert second.startswith(first[:-2])


@given(st.lists(turns, max_size=5).map(numbered))
def test_anything_else_is_as_it_was(messages: list[dict[str, Any]]) -> None:
    body = asked(*messages, turn(UNSIGNED, TEXT))
    assert json.loads(acceptable(body))["messages"] == [*messages, turn(TEXT)]


@pytest.mark.parametrize(
    ("messages", "off"),
    [([turn(USE), turn(RESULT, role="user")], True),
     ([turn(TEXT, USE), turn(RESULT, role="user")], True),
     ([turn(THOUGHT, USE), turn(RESULT, role="user")], False),
     ([turn(TEXT), turn(TEXT, role="user")], False),
     ([turn(USE), turn(RESULT, role="user"), turn(TEXT), turn(TEXT, role="user")], False)],
    ids=["calls", "text-and-calls", "thinks", "no-tools", "long-ago"],
)  # fmt: skip
def test_thinking_is_off_in_the_middle_of_calls_that_another_made_without_it(
    messages: list[Any], off: bool
) -> None:
    """There is nothing foreign in the history but what is missing."""
    body = asked(*messages, thinking=ENABLED)
    document = json.loads(acceptable(body))
    assert ("thinking" not in document) == off
    assert document["messages"] == messages


# --- Ids that come again, blank text, odd inputs

BLANK = {"type": "text", "text": "\n\n"}
SERVER = {"type": "server_tool_use", "id": "call_1", "name": "search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "call_1", "content": []}
AGAIN = [tool_id(f"t1 {n}") for n in range(10)]


def use(id_: str = "t1", **more: Any) -> dict[str, Any]:
    return USE | {"id": id_, **more}


def results(*ids: str) -> dict[str, Any]:
    return turn(*(RESULT | {"tool_use_id": id_} for id_ in ids), role="user")


MENDED: dict[str, tuple[list[Any], list[Any]]] = {
    "an id that comes again": (
        [turn(use()), results("t1"), turn(use()), results("t1"), turn(use()), results("t1")],
        [turn(use()), results("t1"), turn(use(AGAIN[1])), results(AGAIN[1]), turn(use(AGAIN[2])), results(AGAIN[2])]),
    "in parallel calls": ([turn(use(), use("t2"), use()), results("t1", "t2", "t1")],
                          [turn(use(), use("t2"), use(AGAIN[1])), results("t1", "t2", AGAIN[1])]),
    "in messages side by side": ([turn(use()), turn(use()), results("t1", "t1")],
                                 [turn(use()), turn(use(AGAIN[1])), results("t1", AGAIN[1])]),
    "behind a call without result": ([turn(use()), QUESTION, turn(use()), results("t1")],
                                     [turn(use()), QUESTION, turn(use(AGAIN[1])), results(AGAIN[1])]),
    "of another form": (
        [turn(use("a.b")), results("a.b"), turn(use("a.b")), results("a.b")],
        [turn(use(tool_id("a.b"))), results(tool_id("a.b")), turn(use(tool_id("a.b 1"))), results(tool_id("a.b 1"))]),
    "as a new one": ([turn(use()), turn(use(AGAIN[1])), turn(use())],
                     [turn(use()), turn(use(AGAIN[1])), turn(use(AGAIN[2]))]),
    "blank text before a call": ([turn(BLANK, use()), results("t1")], [turn(use()), results("t1")]),
    "nothing but blank text": ([QUESTION, turn(BLANK), QUESTION], [QUESTION, QUESTION]),
    "blank text and thinking of others": ([QUESTION, turn(UNSIGNED, BLANK), QUESTION], [QUESTION, QUESTION]),
    "a blank string": ([QUESTION, {"role": "assistant", "content": " "}, QUESTION], [QUESTION, QUESTION]),
    "an empty message": ([QUESTION, turn(), QUESTION], [QUESTION, QUESTION]),
    "blank text of the user's": ([turn(BLANK, TEXT, role="user")], [QUESTION]),
    "an old blank question": ([turn(BLANK, role="user"), turn(TEXT), QUESTION], [turn(TEXT), QUESTION]),
    "a blank question": ([QUESTION, turn(TEXT), turn(BLANK, role="user")],
                         [QUESTION, turn(TEXT), turn(BLANK, role="user")]),
    "a blank beginning of the answer": ([QUESTION, turn(BLANK)], [QUESTION]),
    "an empty beginning of the answer": ([QUESTION, turn(BLANK), turn()], [QUESTION, turn()]),
    "white space at the end": ([QUESTION, turn(TEXT | {"text": "so\n "}, BLANK)],
                               [QUESTION, turn(TEXT | {"text": "so"})]),
    "at the end of a string": ([QUESTION, {"role": "assistant", "content": "\u00fcber "}],
                               [QUESTION, {"role": "assistant", "content": "\u00fcber"}]),
    "before thinking of others": ([QUESTION, turn(TEXT | {"text": "so "}, UNSIGNED)],
                                  [QUESTION, turn(TEXT | {"text": "so"})]),
    "an input in a string": ([turn(use(input='{"a": 1}'))], [turn(use(input={"a": 1}))]),
    "an input that is a text": ([turn(use(input="ls"))], [turn(use(input={"input": "ls"}))]),
    "an input that is a list": ([turn(use(input=[1]))], [turn(use(input={"input": [1]}))]),
    "an empty input": ([turn(use(input=None), use("t2", input=""))], [turn(use(input={}), use("t2", input={}))]),
    "no input": ([turn({"type": "tool_use", "id": "t1"})], [turn({"type": "tool_use", "id": "t1", "input": {}})]),
    "another server's tool": ([turn(TEXT, SERVER, FOUND), QUESTION], [turn(TEXT), QUESTION]),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), MENDED.values(), ids=MENDED)
def test_what_others_left_is_mended(before: list[Any], after: list[Any]) -> None:
    assert repaired(*before)["messages"] == after


@pytest.mark.parametrize(("before", "after"), MENDED.values(), ids=MENDED)
def test_and_stays_so(before: list[Any], after: list[Any]) -> None:
    once = acceptable(asked(*before))
    assert acceptable(once) == once


@pytest.mark.parametrize(("before", "after"), MENDED.values(), ids=MENDED)
def test_what_others_left_is_mended_where_thinking_is_removed_too(
    before: list[Any], after: list[Any]
) -> None:
    body = acceptable(asked(turn(THOUGHT, TEXT), *before, thinking=ENABLED))
    document = mended(body) if b"thinking" in body else json.loads(body)
    assert document["messages"] == [turn(TEXT), *after]
    assert "thinking" not in document


def test_escapes_and_spaces_around_an_id_are_no_hindrance() -> None:
    block = b'{ "input" : {"id":"t1"}, "\\u0069d" :\t"t\\u0031", "type" : "tool_use" }'
    body = b'{"messages" : [ {"content" : [ %s , %s ] } ] }' % (block, block)
    first, second = json.loads(acceptable(body))["messages"][0]["content"]
    assert (first["id"], second["id"]) == ("t1", AGAIN[1])
    assert second["input"] == {"id": "t1"}


LEFT = st.sampled_from(
    [TEXT, BLANK, TEXT | {"text": ""}, TEXT | {"text": "so "}, UNSIGNED, SERVER, FOUND,
     *(use(id_) for id_ in ("t1", "a.b", AGAIN[1])), use("t2", input="{}")]
)  # fmt: skip


@given(st.lists(st.lists(LEFT, max_size=5), max_size=5), st.booleans())
def test_whatever_others_left_anthropic_accepts_it(contents: list[list[Any]], ends: bool) -> None:
    messages: list[Any] = []
    for content in contents:
        ids = [block["id"] for block in content if block["type"] == "tool_use"]
        messages += [QUESTION, turn(*content), *([results(*ids)] if ids else [])]
    body = acceptable(asked(*messages, *([QUESTION] if ends else [])))
    check_history(body)
    assert acceptable(body) == body


@given(st.lists(st.lists(LEFT, max_size=5), min_size=1, max_size=5))
def test_a_longer_history_begins_with_the_same_bytes(contents: list[list[Any]]) -> None:
    def mended_up_to(count: int) -> bytes:
        messages: list[Any] = []
        for content in contents[:count]:
            ids = [block["id"] for block in content if block["type"] == "tool_use"]
            messages += [turn(*content), *([results(*ids)] if ids else []), QUESTION]
        return acceptable(json.dumps({"messages": messages}).encode())

    for count in range(1, len(contents)):
        assert mended_up_to(count + 1).startswith(mended_up_to(count)[:-2])
