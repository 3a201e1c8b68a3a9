"""Rows about tools: their schemas, names and number, and the choice among them."""

from __future__ import annotations

from tests.translator.matrix.row import (
    MARK,
    READ,
    Abilities,
    Json,
    Row,
    properties,
    result,
    talk,
    tools,
    use,
)

LONG = "mcp__server__" + "x" * 70
MANY: Json = {"tools": [{**READ, "name": f"tool_{number:03}"} for number in range(200)]}


def _forced(able: Abilities, body: Json) -> str | None:
    choice = body.get("tool_choice", body.get("toolConfig", body.get("tool_config")))
    if able.forces and not any(
        word in str(choice) for word in ("required", "any", "ANY", "tool_0", "Read")
    ):
        return f"the call is not forced: {choice}"
    return None


def _alone(able: Abilities, body: Json) -> str | None:
    told = body.get("parallel_tool_calls")
    return None if told in (None, False) else f"parallel_tool_calls is {told}"


def _some(able: Abilities, body: Json) -> str | None:
    return None if "tool_000" in str(body) else "the first tool is missing"


def _untold(able: Abilities, body: Json) -> str | None:
    """With `none`, no tool may be called: it is said, or none is offered."""
    choice = str(body.get("tool_choice", body.get("toolConfig", body.get("tool_config", ""))))
    quiet = "none" in choice.lower() or not body.get("tools")
    return None if quiet and "auto" not in choice.lower() else f"tools could be called: {choice}"


OFFER = (
    Row("tools: one", {"tools": [READ]}, ("Read", "Reads a file.", "file_path", "THEPATH")),
    Row("tools: an empty list", {"tools": []}, ("ASKED",)),
    Row("tools: without a description", {"tools": [{k: v for k, v in READ.items() if k != "description"}]},
        ("file_path",)),
    Row("tools: custom, with marks", {"tools": [{**READ, "type": "custom", **MARK}]}, ("Read",), ("cache_control",)),
    Row("tools: what is new in them", {"tools": [{**READ, "strict": True, "defer_loading": True,
        "allowed_callers": ["direct"], "input_examples": [{"file_path": "a"}], "eager_input_streaming": True}]},
        ("Read",), ("defer_loading", "allowed_callers", "input_examples", "eager_input_streaming")),
    Row("tools: Anthropic's own beside one", {"tools": [READ, {"type": "web_search_20250305", "name": "web_search"},
        {"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250728", "name": "str_replace"},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 1, "display_height_px": 1},
        {"type": "code_execution_20250825", "name": "code_execution"}, {"type": "memory_20250818", "name": "memory"}]},
        ("Read",), ("20250", "display_width_px")),
    Row("tools: nothing but Anthropic's own", {"tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "auto"}}, ("ASKED",), ("20250",)),
    Row("tools: nothing but Anthropic's own, forced", {"tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "tool", "name": "web_search"}}, ("ASKED",), ("20250",)),
    Row("tools: a long name", {"tools": [{**READ, "name": LONG}]}, ("mcp__server__",)),
    Row("tools: long names with one beginning", {"tools": [{**READ, "name": LONG + "1"}, {**READ, "name": LONG + "2"}]},
        ("mcp__server__",)),
    Row("tools: a name that begins with a digit", {"tools": [{**READ, "name": "21st_magic"}]}, ("21st_magic",)),
    Row("tools: a name that begins with a hyphen", {"tools": [{**READ, "name": "-look"}]}, ("look",)),
    Row("tools: two hundred", MANY, ("tool_000",), check=_some),
    Row("tools: two hundred, a late one in the history", talk("ASKED", [use(name="tool_190")], [result()], **MANY),
        ("tool_190", "RESULT")),
    Row("tools: two hundred, a late one forced", {**MANY, "tool_choice": {"type": "tool", "name": "tool_190"}},
        ("tool_190",)),
    Row("tools: a long description", {"tools": [{**READ, "description": "DESCRIBED " * 2000}]}, ("DESCRIBED",)),
)  # fmt: skip

CHOICE = (
    Row("choice: auto", {"tools": [READ], "tool_choice": {"type": "auto"}}, ("Read",)),
    Row("choice: any", {"tools": [READ], "tool_choice": {"type": "any"}}, ("Read",), check=_forced),
    Row("choice: a tool", {"tools": [READ], "tool_choice": {"type": "tool", "name": "Read"}}, ("Read",), check=_forced),
    Row("choice: a tool with a long name", {"tools": [{**READ, "name": LONG}], "tool_choice": {"type": "tool",
        "name": LONG}}, ("mcp__server__",)),
    Row("choice: none", {"tools": [READ], "tool_choice": {"type": "none"}}, ("ASKED",), check=_untold),
    Row("choice: none, in a round of tools", talk("ASKED", [use()], [result()], tools=[READ],
        tool_choice={"type": "none"}), ("RESULT",), check=_untold),
    Row("choice: without tools", {"tool_choice": {"type": "auto"}}, ("ASKED",)),
    Row("choice: not parallel", {"tools": [READ], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ("Read",), check=_alone),
    Row("choice: any, not parallel", {"tools": [READ], "tool_choice": {"type": "any",
        "disable_parallel_tool_use": True}}, ("Read",), check=_alone),
    Row("choice: forced, thinking", {"tools": [READ], "tool_choice": {"type": "any"},
        "thinking": {"type": "adaptive"}}, ("Read",)),
)  # fmt: skip

_STRING = {"type": "string"}
_TREE: Json = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/node"}},
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": _STRING,
                "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        }
    },
}


def _deep(levels: int) -> Json:
    schema: Json = _STRING
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


FAULTY = ("nothing", "a list", "required of null", "a definition that is missing", "a tuple",
          "one of two at the top", "names that need care")  # fmt: skip
"""Schemas that Anthropic refuses."""

SCHEMAS = tuple(
    Row(f"schema: {name}", tools(schema), ("TOOL0", *holds), faulty="tool_0|tools.0" if name in FAULTY else "")
    for name, schema, holds in (
        ("without properties", {"type": "object"}, ()),
        ("empty properties", {"type": "object", "properties": {}}, ()),
        ("closed and empty", {"type": "object", "properties": {}, "additionalProperties": False}, ()),
        ("open", {"type": "object", "properties": {}, "additionalProperties": True}, ()),
        ("a property that may be anything", properties(a=True), ()),
        ("a property that may be nothing", properties(a=False, b=_STRING), ()),
        ("a nested true", properties(a={"type": "object", "properties": {"b": True}}), ()),
        ("items of anything", properties(a={"type": "array", "items": True}), ()),
        ("items without a type", properties(a={"type": "array", "items": {}}), ()),
        ("a list of nothing said", properties(a={"type": "array"}), ()),
        ("a tuple", properties(a={"type": "array", "items": [_STRING, {"type": "number"}]}), ()),
        ("a tuple of 2020", properties(a={"type": "array", "prefixItems": [_STRING, {"type": "number"}]}), ()),
        ("an empty word in an enum", properties(a={"type": "string", "enum": ["", "ONE"]}), ("ONE",)),
        ("nothing but an empty word", properties(a={"type": "string", "enum": [""]}), ()),
        ("numbers in an enum", properties(a={"type": "integer", "enum": [1, 2]}), ()),
        ("null in an enum", properties(a={"type": ["string", "null"], "enum": ["ONE", None]}), ("ONE",)),
        ("an enum without a type", properties(a={"enum": ["ONE", "TWO"]}), ("ONE",)),
        ("two types", properties(a={"type": ["string", "null"]}), ()),
        ("types with a list", properties(a={"type": ["string", "array"], "items": _STRING}), ()),
        ("nothing said but a description", properties(a={"description": "ANYTHING"}), ("ANYTHING",)),
        ("nullable", properties(a={"type": "string", "nullable": True}), ()),
        ("one of two", properties(a={"anyOf": [_STRING, {"type": "null"}], "description": "EITHER"}), ("EITHER",)),
        ("one of two, with a type", properties(a={"type": "string", "anyOf": [{"minLength": 1},
                                                                              {"maxLength": 9}]}), ()),
        ("oneOf, allOf, not", properties(a={"oneOf": [_STRING, {"type": "number"}]}, b={"allOf": [_STRING]},
                                         c={"not": _STRING}), ()),
        ("one of two at the top", {**properties(a=_STRING, b=_STRING), "anyOf": [{"required": ["a"]},
                                                                                 {"required": ["b"]}]}, ()),
        ("a definition", {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": _STRING}}, ()),
        ("an old definition", {"type": "object", "properties": {"a": {"$ref": "#/definitions/x"}},
                               "definitions": {"x": _STRING}}, ()),
        ("a definition of itself", _TREE, ()),
        ("a definition that is missing", properties(a={"$ref": "#/$defs/none"}), ()),
        ("a definition with a description", {"type": "object", "properties": {"a": {"$ref": "#/$defs/x",
                                             "description": "D"}}, "$defs": {"x": _STRING}}, ()),
        ("a constant", properties(a={"const": "ONE"}), ("ONE",)),
        ("formats", properties(a={"type": "string", "format": "uri"}, b={"type": "string", "format": "date-time"},
                               c={"type": "string", "format": "uuid"}, d={"type": "integer", "format": "int64"}), ()),
        ("limits", properties(a={"type": "integer", "exclusiveMinimum": 0, "maximum": 9, "multipleOf": 2},
                              b={"type": "array", "items": _STRING, "minItems": 1, "uniqueItems": True},
                              c={"type": "string", "pattern": "^(?!a)b$", "minLength": 1}), ()),
        ("values of a kind", properties(a={"type": "object", "additionalProperties": _STRING},
                                        b={"type": "object", "patternProperties": {"^x": _STRING}},
                                        c={"type": "object", "propertyNames": _STRING}), ()),
        ("conditions", {**properties(a=_STRING), "if": {"properties": {"a": {"const": "x"}}},
                        "then": {"required": ["a"]}, "else": {}}, ()),
        ("remarks", {**properties(a={**_STRING, "title": "T", "default": "D", "examples": ["E"], "deprecated": True,
                                     "readOnly": True, "$comment": "c"}), "title": "T", "$id": "x",
                     "$schema": "https://json-schema.org/draft/2020-12/schema"}, ()),
        ("words of a schema as names", properties(type=_STRING, properties=_STRING, items=_STRING, required=_STRING,
                                                  enum=_STRING, description=_STRING, anyOf=_STRING), ()),
        ("names that need care", {"type": "object", "properties": {"$filter": _STRING, "a.b": _STRING, "ä": _STRING,
                                                                   "": _STRING}}, ()),
        ("required that is not there", {"type": "object", "properties": {"a": _STRING}, "required": ["a", "zz"]}, ()),
        ("required of null", {"type": "object", "properties": {"a": _STRING}, "required": None}, ()),
        ("deep", _deep(40), ()),
        ("nothing", {}, ()),
        ("a list", {"type": "array", "items": _STRING}, ()),
    )
)  # fmt: skip

ROWS = (*OFFER, *CHOICE, *SCHEMAS)
