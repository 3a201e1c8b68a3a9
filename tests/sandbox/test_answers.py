import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.answers import (
    Answer,
    Text,
    Thought,
    ToolUse,
    Usage,
    answer,
    split,
    usage_of,
)
from neurolink_mitm.sandbox.messages import (
    Format,
    MessagesRequest,
    OutputConfig,
    Thinking,
    Tool,
    ToolChoice,
)


def answered(reply: Reply = Reply(), **asked: object) -> Answer:  # noqa: B008 - frozen
    request = MessagesRequest(model="claude-x", messages=[], max_tokens=1, **asked)  # type: ignore[arg-type]
    return answer(request, reply, Usage(3), "Some words to a newcomer.", lambda prefix: prefix)


def test_the_answer_says_the_words_and_ends_its_turn() -> None:
    said = answered(tools=[], tool_choice=None)
    assert said == Answer(
        "msg_01", "claude-x", (Text(split("Some words to a newcomer.")),), "end_turn", Usage(3)
    )


@pytest.mark.parametrize(
    ("reply", "deltas"),
    [
        pytest.param(Reply(events=3), ("0 ", "1 ", "2 "), id="events are numbered"),
        pytest.param(Reply(events=2, chunk_text="x"), ("x", "x"), id="text of the script"),
        pytest.param(Reply(chunk_text="x"), ("x",), id="one, if not told how many"),
        pytest.param(Reply(events=0), (), id="none"),
    ],
)
def test_a_script_says_the_deltas(reply: Reply, deltas: tuple[str, ...]) -> None:
    assert answered(reply).blocks == (Text(deltas),)


def test_a_thought_comes_first_and_is_signed() -> None:
    thought, text = answered(thinking=Thinking("adaptive")).blocks
    assert isinstance(thought, Thought)
    assert thought.signature
    assert isinstance(text, Text)


def test_a_forced_tool_is_called() -> None:
    tool = Tool("Bash", {"type": "object", "properties": {"command": {"const": "ls"}}})
    said = answered(tools=[tool], tool_choice=ToolChoice("tool", "Bash"))
    assert said.blocks == (ToolUse("toolu_01", "Bash", {"command": "ls"}),)
    assert said.stop_reason == "tool_use"


NAMED = {"type": "object", "properties": {"name": {"enum": ["n"]}}}


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"output_config": OutputConfig(Format("json_schema", NAMED))}, {"name": "n"}),
        ({"system": msgspec.Raw(b'"Answer with JSON and nothing else."')}, {"answer": "Some words to a newcomer."}),
    ],
    ids=["schema", "prompt"],
)  # fmt: skip
def test_json_is_answered_where_it_is_asked_for(asked: dict[str, object], text: object) -> None:
    [block] = answered(**asked).blocks
    assert isinstance(block, Text)
    assert json.loads("".join(block.deltas)) == text


def test_a_body_with_cache_marks_was_mostly_cached() -> None:
    body = b'{"cache_control":1}' + b"x" * 400
    usage, plain = usage_of(body), usage_of(body.replace(b"cache", b"other"))
    assert usage.cache_read_input_tokens > usage.cache_creation_input_tokens > 0
    assert plain.cache_read_input_tokens == plain.cache_creation_input_tokens == 0
    parts = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
    assert sum(parts) - 1 == plain.input_tokens


@pytest.mark.parametrize(("ttl", "hour"), [("", False), ("5m", False), ("1h", True)])
def test_what_is_written_to_the_cache_is_kept_as_asked(ttl: str, hour: bool) -> None:
    usage = usage_of(b'{"cache_control":{"ttl": "%s"}}' % ttl.encode() + b"x" * 400)
    assert usage.cached_1h == (usage.cache_creation_input_tokens if hour else 0)


@given(st.text(), st.integers(1, 5))
def test_pieces_joined_are_the_text(text: str, words: int) -> None:
    assert "".join(split(text, words)) == text
