from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.openai.claude import ClaudeTraits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.responses.conversation import Conversation
from neurolink_mitm.core.openai.responses.input_items import add_input
from neurolink_mitm.core.openai.responses.reasoning import encrypted_content
from neurolink_mitm.core.openai.responses.stored import Memory, Pending
from neurolink_mitm.core.openai.responses.tools import ResponseTools
from neurolink_mitm.core.openai.tools import Choice, Tools

THOUGHT = {"type": "thinking", "thinking": "so", "signature": "c28="}
REDACTED = {"type": "redacted_thinking", "data": "x"}
PNG = "data:image/png;base64,iVBORw0KGgo="


def conversation(given: Any, memory: Memory | None = None) -> Conversation:
    tools = ResponseTools(Tools(ClaudeTraits()))
    made = Conversation(tools, (memory or Memory()).of("", 0))
    add_input(made, json.dumps(given).encode(), "input")
    return made


def turns(given: Any, memory: Memory | None = None) -> list[tuple[str, list[Any]]]:
    written = conversation(given, memory).turns.written(prefill=True)
    return [(turn.role, [json.loads(block) for block in turn.blocks]) for turn in written]


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def use(id_: str, name: str = "f", **input_: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": input_}


def result(id_: str, *content: Any, **more: Any) -> dict[str, Any]:
    listed = {"content": list(content)} if content else {}
    return {"type": "tool_result", "tool_use_id": id_, **more, **listed}


def user(words: str) -> dict[str, Any]:
    return {"role": "user", "content": words}


def call(id_: str, name: str = "f", arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments, **more}


def output(id_: str, out: Any = "ok", kind: str = "function_call_output") -> dict[str, Any]:
    return {"type": kind, "call_id": id_, "output": out}


def reasoning(*blocks: Any, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "reasoning", "id": "rs", "summary": [], **more}
        | {"encrypted_content": encrypted_content(json.dumps(block).encode())}
        for block in blocks
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("look", [("user", [text("look")])], id="a text"),
        pytest.param(
            [user("a"), user("b")], [("user", [text("a"), text("b")])], id="two of a role"
        ),
        pytest.param(
            [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "a"},
                        {"type": "input_text", "text": " "},
                    ],
                }
            ],
            [("user", [text("a")])],
            id="blank text is left out",
        ),
        pytest.param(
            [
                user("a"),
                {
                    "role": "assistant",
                    "phase": "commentary",
                    "id": "msg_1",
                    "content": [
                        {"type": "output_text", "text": "b", "annotations": []},
                        {"type": "refusal", "refusal": "no"},
                    ],
                },
                user("c"),
            ],
            [("user", [text("a")]), ("assistant", [text("b"), text("no")]), ("user", [text("c")])],
            id="answers",
        ),
        pytest.param(
            [
                user("a"),
                *reasoning(THOUGHT, REDACTED),
                {"role": "assistant", "content": "b"},
                call("1"),
                call("2", arguments='{"x": [1]}'),
                output("2"),
                output("1", ""),
            ],
            [
                ("user", [text("a")]),
                ("assistant", [THOUGHT, REDACTED, text("b"), use("1"), use("2", x=[1])]),
                ("user", [result("1"), result("2", text("ok"))]),
            ],
            id="one answer is one turn, all its outputs are the next one",
        ),
        pytest.param(
            [
                user("a"),
                call("1"),
                output("1"),
                *reasoning(THOUGHT),
                call("2"),
                output("2"),
                user("b"),
            ],
            [
                ("user", [text("a")]),
                ("assistant", [use("1")]),
                ("user", [result("1", text("ok"))]),
                ("assistant", [THOUGHT, use("2")]),
                ("user", [result("2", text("ok")), text("b")]),
            ],
            id="rounds",
        ),
        pytest.param(
            [
                user("a"),
                call("1"),
                user("wait"),
                {"role": "assistant", "content": "yes"},
                output("1"),
            ],
            [
                ("user", [text("a")]),
                ("assistant", [use("1")]),
                ("user", [result("1", text("ok")), text("wait")]),
                ("assistant", [text("yes")]),
            ],
            id="an output far behind its call",
        ),
        pytest.param(
            [user("a"), *reasoning(THOUGHT), user("b")],
            [("user", [text("a"), text("b")])],
            id="thinking that nothing follows",
        ),
        pytest.param(
            [
                user("a"),
                {
                    "type": "reasoning",
                    "summary": [{"type": "summary_text", "text": "so"}],
                    "content": None,
                    "encrypted_content": "gAAAA",
                },
                {"role": "assistant", "content": "b"},
                user("c"),
            ],
            [("user", [text("a")]), ("assistant", [text("b")]), ("user", [text("c")])],
            id="OpenAI's reasoning",
        ),
        pytest.param(
            [
                user("a"),
                {
                    "type": "custom_tool_call",
                    "call_id": "1",
                    "name": "apply_patch",
                    "input": '*** "x"\n',
                },
                output("1", kind="custom_tool_call_output"),
            ],
            [
                ("user", [text("a")]),
                ("assistant", [use("1", "apply_patch", input='*** "x"\n')]),
                ("user", [result("1", text("ok"))]),
            ],
            id="custom",
        ),
        pytest.param(
            [
                user("a"),
                call("1"),
                output(
                    "1",
                    [
                        {"type": "input_text", "text": "x"},
                        {"type": "input_image", "image_url": PNG},
                    ],
                ),
            ],
            [
                ("user", [text("a")]),
                ("assistant", [use("1")]),
                (
                    "user",
                    [
                        result(
                            "1",
                            text("x"),
                            {
                                "type": "image",
                                "source": {
                                    "type": "base64",
                                    "media_type": "image/png",
                                    "data": "iVBORw0KGgo=",
                                },
                            },
                        )
                    ],
                ),
            ],
            id="an output with an image",
        ),
        pytest.param(
            [
                user("a"),
                {
                    "type": "local_shell_call",
                    "id": "ls",
                    "call_id": "1",
                    "status": "completed",
                    "action": {"type": "exec", "command": ["ls"], "env": {}, "timeout_ms": None},
                },
                {"type": "local_shell_call_output", "id": "1", "output": "x"},
            ],
            [
                ("user", [text("a")]),
                ("assistant", [use("1", "local_shell", command=["ls"], env={})]),
                ("user", [result("1", text("x"))]),
            ],
            id="local shell",
        ),
        pytest.param(
            [
                user("a"),
                {
                    "type": "mcp_call",
                    "id": "m",
                    "server_label": "s",
                    "name": "t",
                    "arguments": '{"q":1}',
                    "output": "x",
                },
                {
                    "type": "mcp_call",
                    "id": "n",
                    "server_label": "s",
                    "name": "t",
                    "arguments": "{}",
                    "error": "broken",
                },
                user("b"),
            ],
            [
                ("user", [text("a")]),
                ("assistant", [use("m", "s__t", q=1)]),
                ("user", [result("m", text("x"))]),
                ("assistant", [use("n", "s__t")]),
                ("user", [result("n", text("broken"), is_error=True), text("b")]),
            ],
            id="MCP calls that were run",
        ),
        pytest.param(
            [
                user("a"),
                {"type": "computer_call", "call_id": "1", "action": {"type": "click"}},
                {
                    "type": "computer_call_output",
                    "call_id": "1",
                    "output": {"type": "computer_screenshot", "image_url": PNG},
                },
            ],
            [
                ("user", [text("a")]),
                ("assistant", [use("1", "computer", action={"type": "click"})]),
                (
                    "user",
                    [
                        result(
                            "1",
                            {
                                "type": "image",
                                "source": {
                                    "type": "base64",
                                    "media_type": "image/png",
                                    "data": "iVBORw0KGgo=",
                                },
                            },
                        )
                    ],
                ),
            ],
            id="computer",
        ),
        pytest.param(
            [
                user("a"),
                {
                    "type": "apply_patch_call",
                    "call_id": "1",
                    "operation": {"type": "delete_file", "path": "x"},
                },
                {
                    "type": "apply_patch_call_output",
                    "call_id": "1",
                    "status": "failed",
                    "output": "no",
                },
                {"type": "shell_call", "call_id": "2", "action": {"commands": ["ls"]}},
                {"type": "shell_call_output", "call_id": "2", "output": [{"stdout": "x"}]},
            ],
            [
                ("user", [text("a")]),
                ("assistant", [use("1", "apply_patch", type="delete_file", path="x")]),
                ("user", [result("1", text("no"), is_error=True)]),
                ("assistant", [use("2", "shell", commands=["ls"])]),
                ("user", [result("2", text('[{"stdout": "x"}]'))]),
            ],
            id="hosted shell and patches",
        ),
        pytest.param(
            [
                user("a"),
                {
                    "type": "code_interpreter_call",
                    "id": "c",
                    "code": "1+1",
                    "outputs": [{"type": "logs", "logs": "2"}],
                },
                {"type": "file_search_call", "id": "s", "queries": ["q"], "results": None},
            ],
            [
                ("user", [text("a")]),
                ("assistant", [use("c", "code_interpreter", code="1+1")]),
                ("user", [result("c", text('[{"type": "logs", "logs": "2"}]'))]),
                ("assistant", [use("s", "file_search", queries=["q"])]),
                ("user", [result("s")]),
            ],
            id="code and files",
        ),
        pytest.param(
            [user("a"), call("1", arguments='{"x": ', status="incomplete"), user("b")],
            [("user", [text("a"), text("b")])],
            id="a call that the answer ended in",
        ),
        pytest.param(
            [user("a"), call("1", arguments=" "), output("1", None)],
            [("user", [text("a")]), ("assistant", [use("1")]), ("user", [result("1")])],
            id="neither arguments nor output",
        ),
    ],
)
def test_items_become_turns(given: Any, expected: list[tuple[str, list[Any]]]) -> None:
    assert turns(given) == expected


def test_a_call_without_output_has_a_result_all_the_same() -> None:
    for given in ([user("a"), call("1")], [user("a"), call("1"), user("b")]):
        [answer] = [block for block in turns(given)[2][1] if block["type"] == "tool_result"]
        assert answer["is_error"]


def test_instructions_are_the_system_prompt_in_order_wherever_they_stand() -> None:
    developer = {
        "type": "message",
        "role": "developer",
        "content": [{"type": "input_text", "text": "one"}],
    }
    made = conversation([developer, user("a"), {"role": "system", "content": "two"}])
    assert [json.loads(block) for block in made.turns.system] == [text("one"), text("two")]


def test_what_is_of_no_use_here_is_left_out() -> None:
    kinds = ("web_search_call", "image_generation_call", "mcp_list_tools", "mcp_approval_request")
    made = conversation([user("a"), *({"type": kind, "id": "x"} for kind in kinds)])
    assert list(made.left_out) == list(kinds)
    assert len(made.turns.written(prefill=True)) == 1


def test_tools_come_with_items() -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    space = {"type": "namespace", "name": "mcp__s__", "description": "", "tools": [tool]}
    made = conversation(
        [
            {"type": "additional_tools", "role": "developer", "tools": [tool]},
            {
                "type": "tool_search_call",
                "call_id": "1",
                "execution": "client",
                "arguments": {"query": "q"},
            },
            {"type": "tool_search_output", "call_id": "1", "execution": "client", "tools": [space]},
            {"type": "tool_search_call", "call_id": None, "execution": "server", "arguments": {}},
            {"type": "tool_search_output", "call_id": None, "execution": "server", "tools": [tool]},
            call("2", namespace="mcp__s__"),
            output("2"),
        ]
    )
    assert b'"f"' in made.tools.tools
    assert b'"mcp__s__f"' in made.tools.tools
    (_, blocks) = [(turn.role, turn.blocks) for turn in made.turns.written(prefill=True)][1]
    assert [json.loads(block) for block in blocks] == [use("1", "tool_search", query="q")]
    [found, *_] = [json.loads(block) for block in made.turns.written(prefill=True)[2].blocks]
    assert found == result("1", text("These tools can be called now: mcp__s__f."))


def test_the_last_tool_of_a_name_counts_but_for_those_of_the_request() -> None:
    def tools(*words: str) -> dict[str, Any]:
        listed = [
            {"type": "function", "name": name, "description": words[-1]} for name in words[:-1]
        ]
        return {"type": "additional_tools", "tools": listed}

    made = conversation([])
    made.tools.add(msgspec.Raw(json.dumps(tools("f", "now")["tools"]).encode()), "tools")
    made.tools.of_request = False
    add_input(made, json.dumps([tools("f", "g", "old"), tools("g", "new")]).encode(), "input")
    written = [json.loads(tool) for tool in made.tools.tools.written(Choice())]
    assert [(tool["name"], tool["description"]) for tool in written] == [("f", "now"), ("g", "new")]


def test_a_call_may_leave_out_the_namespace_of_its_tool() -> None:
    tool = {"type": "function", "name": "wait"}
    space = {"type": "namespace", "name": "agents", "tools": [tool]}
    given = [{"type": "additional_tools", "tools": [space]}, call("1", "wait"), call("2", "a.b")]
    blocks = turns(given)[1][1]
    assert [block["name"] for block in blocks] == ["agents__wait", "a_b"]


def test_an_item_is_referred_to_by_its_id() -> None:
    memory = Memory()
    items = [{"id": "msg_1", "type": "message", "role": "assistant", "content": "b"}]
    response = json.dumps({"id": "resp", "output": items}).encode()
    memory.keep("", Pending(msgspec.Raw(b'"a"')), response, 0)
    for reference in ({"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}):
        assert turns([user("a"), reference, user("c")], memory)[1] == ("assistant", [text("b")])
    with pytest.raises(RequestError, match="'msg_2' not found") as e:
        turns([{"id": "msg_2"}], memory)
    assert (e.value.status, e.value.param) == (404, "input[0]")


def test_references_do_not_make_a_request_without_end() -> None:
    memory = Memory()
    items = [{"id": "msg_1", "type": "message", "role": "assistant", "content": "b" * 2_000_000}]
    response = json.dumps({"id": "resp", "output": items}).encode()
    memory.keep("", Pending(msgspec.Raw(b'"a"')), response, 0)
    with pytest.raises(RequestError) as e:
        conversation([{"id": "msg_1"}] * 40, memory)
    assert (e.value.status, e.value.param) == (413, "input[33]")


@pytest.mark.parametrize(
    ("item", "param"),
    [
        pytest.param(5, "input[1]", id="no object"),
        pytest.param("a", "input[1]", id="a text"),
        pytest.param({}, "input[1].type", id="empty"),
        pytest.param({"type": 5}, "input[1].type", id="type is a number"),
        pytest.param({"type": "banana"}, "input[1].type", id="unknown type"),
        pytest.param({"type": "message", "content": "a"}, "input[1].role", id="no role"),
        pytest.param({"role": "banana", "content": "a"}, "input[1].role", id="unknown role"),
        pytest.param({"role": 5, "content": "a"}, "input[1].role", id="role is a number"),
        pytest.param({"role": "user", "content": 5}, "input[1].content", id="content is a number"),
        pytest.param(
            {"role": "user", "content": {}}, "input[1].content", id="content is an object"
        ),
        pytest.param(
            {"role": "user", "content": [5]}, "input[1].content[0]", id="part is a number"
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "banana"}]}, "input[1].content[0].type", id="part"
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "input_text", "text": 5}]},
            "input[1].content[0].text",
            id="text",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "input_text"}]},
            "input[1].content[0].text",
            id="no text",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "input_image", "image_url": 5}]},
            "input[1].content[0].image_url",
            id="image",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]},
            "input[1].content[0].file_id",
            id="a file's id",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "input_file", "file_data": 5}]},
            "input[1].content[0].file_data",
            id="file",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "input_audio"}]},
            "input[1].content[0]",
            id="audio",
        ),
        pytest.param(
            {"role": "assistant", "content": [{"type": "input_image", "image_url": PNG}]},
            "input[1].content[0].type",
            id="image of the assistant",
        ),
        pytest.param(
            {"role": "developer", "content": [{"type": "input_image", "image_url": PNG}]},
            "input[1].content[0].type",
            id="image of instructions",
        ),
        pytest.param(
            {"type": "function_call", "name": "f", "arguments": "{}"},
            "input[1].call_id",
            id="no call id",
        ),
        pytest.param({**call("1"), "call_id": 5}, "input[1].call_id", id="call id is a number"),
        pytest.param({**call("1"), "name": 5}, "input[1].name", id="name is a number"),
        pytest.param(call("1", ""), "input[1].name", id="no name"),
        pytest.param(
            {**call("1"), "arguments": {}}, "input[1].arguments", id="arguments are an object"
        ),
        pytest.param(call("1", arguments='{"x": '), "input[1].arguments", id="half arguments"),
        pytest.param(call("1", arguments="[]"), "input[1].arguments", id="a list of arguments"),
        pytest.param({**call("1"), "namespace": 5}, "input[1].namespace", id="namespace"),
        pytest.param(output("1"), "input[1].call_id", id="output without call"),
        pytest.param(
            output("1", kind="custom_tool_call_output"),
            "input[1].call_id",
            id="custom output without call",
        ),
        pytest.param(
            {"type": "custom_tool_call", "call_id": "1", "name": "f", "input": {}},
            "input[1].input",
            id="custom input",
        ),
        pytest.param(
            {"type": "reasoning", "encrypted_content": 5},
            "input[1].encrypted_content",
            id="reasoning",
        ),
        pytest.param(
            {"type": "local_shell_call", "call_id": "1", "action": 5},
            "input[1].action",
            id="action",
        ),
        pytest.param(
            {"type": "tool_search_call", "call_id": "1", "arguments": 5},
            "input[1].arguments",
            id="tool search",
        ),
        pytest.param(
            {"type": "additional_tools", "tools": 5}, "input[1].tools", id="additional tools"
        ),
        pytest.param({"type": "compaction", "encrypted_content": "x"}, "input[1]", id="compaction"),
        pytest.param({"type": "compaction_trigger"}, "input[1]", id="compaction trigger"),
    ],
)
def test_what_is_wrong_is_named(item: Any, param: str) -> None:
    with pytest.raises(RequestError) as e:
        turns([user("a"), item])
    assert (e.value.status, e.value.param) == (400, param)


def test_an_output_without_its_call_names_the_call() -> None:
    with pytest.raises(RequestError, match="'call_9'"):
        turns([user("a"), output("call_9")])


def test_arguments_that_are_no_json_name_the_call() -> None:
    with pytest.raises(RequestError, match="'call_9'"):
        turns([user("a"), call("call_9", arguments="{")])
