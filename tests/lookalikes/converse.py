"""Bedrock's Converse: its checks, and its answers."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from tests.lookalikes.script import Json, Reply, pieces
from tests.lookalikes.server import Refused

_STOPS = {"stop": "end_turn", "length": "max_tokens", "filter": "content_filtered"}
_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "blob": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
}


def check_converse(body: Json, shape: StructureShape) -> None:
    """Raises Refused."""
    _check_shape({"modelId": "m", **body}, shape, "")
    messages = body.get("messages") or []
    if not messages:
        raise Refused(400, "The messages field is required.")
    if messages[0]["role"] != "user":
        said = (
            "A conversation must start with a user message. Try again with a conversation"
            " that starts with a user message."
        )
        raise Refused(400, said)
    for at, message in enumerate(messages):
        _check_message(message, at)
    _check_turns(messages)
    _check_tools(body)


def _check_shape(value: Any, shape: Shape, where: str) -> None:
    document = isinstance(shape, StructureShape) and shape.is_document_type
    wanted = _TYPES.get(shape.type_name, ())
    if document:
        return
    if not isinstance(value, wanted) or (isinstance(value, bool) and shape.type_name != "boolean"):
        raise Refused(400, f"Value at '{where}' is not of type {shape.type_name}")
    if isinstance(shape, StructureShape):
        _check_members(value, shape, where)
    elif isinstance(shape, ListShape):
        for at, each in enumerate(value):
            _check_shape(each, shape.member, f"{where}.{at}")
    elif isinstance(shape, MapShape):
        for name, each in value.items():
            _check_shape(each, shape.value, f"{where}.{name}")
    elif shape.type_name == "blob":
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as e:
            raise Refused(400, f"Value at '{where}' is no base64") from e
    _check_limits(value, shape, where)


def _check_members(value: Json, shape: StructureShape, where: str) -> None:
    names = {
        member.serialization.get("name", name): member for name, member in shape.members.items()
    }
    for name in shape.required_members:
        if name not in value:
            raise Refused(
                400,
                f"1 validation error detected: Value at '{where}.{name}' failed to satisfy"
                " constraint: Member must not be null",
            )
    if shape.is_tagged_union and len(value) != 1:
        raise Refused(400, f"{where}: exactly one member of {', '.join(names)} must be set")
    for name, each in value.items():
        if name not in names:
            raise Refused(400, f"{where}: extraneous key [{name}] is not permitted")
        _check_shape(each, names[name], f"{where}.{name}".lstrip("."))


def _check_limits(value: Any, shape: Shape, where: str) -> None:
    rules = shape.metadata
    size = value if isinstance(value, int | float) else len(value)
    fits = rules.get("min", 0) <= size <= rules.get("max", size)
    if rules.get("enum") and value not in rules["enum"]:
        fits = False
    pattern = rules.get("pattern")
    if pattern and isinstance(value, str) and not re.fullmatch(pattern, value, re.DOTALL):
        fits = False
    if not fits:
        said = (
            f"1 validation error detected: Value '{str(value)[:60]}' at '{where}' failed to"
            " satisfy constraint"
        )
        raise Refused(400, f"{said}: {pattern or rules}")


def _check_message(message: Json, at: int) -> None:
    """https://github.com/boto/botocore/issues/3525"""
    where = f"messages.{at}"
    if not message["content"]:
        said = (
            f"The content field in the Message object at {where} is empty. Add a ContentBlock"
            " object to the content field and try again."
        )
        raise Refused(400, said)
    for number, block in enumerate(message["content"]):
        if "text" in block and not block["text"].strip():
            said = (
                f"The text field in the ContentBlock object at {where}.content.{number} is blank."
                " Add text to the text field, and try again."
            )
            raise Refused(400, said)
        use = block.get("toolUse")
        if use and not isinstance(use.get("input"), dict):
            said = (
                f"The format of the value at {where}.content.{number}.toolUse.input is invalid."
                " Provide a json object for the field and try again."
            )
            raise Refused(400, said)
        result = block.get("toolResult")
        if result and result.get("status") == "error" and not result["content"]:
            said = (
                f"The content field at {where}.content.{number}.toolResult cannot be empty when"
                " status value is error."
            )
            raise Refused(400, said)
    kinds = {next(iter(block)) for block in message["content"]}
    if "document" in kinds and "text" not in kinds and "toolResult" not in kinds:
        raise Refused(400, "A text block is required with a document.")


def _check_turns(messages: list[Json]) -> None:
    """https://repost.aws/knowledge-center/bedrock-converse-error: turns alternate;"
    " results answer the calls."""
    before: list[str] = []
    for at, message in enumerate(messages):
        if at and messages[at - 1]["role"] == message["role"]:
            said = (
                "A conversation must alternate between user and assistant roles. Make sure the"
                " conversation alternates between user and assistant roles and try again."
            )
            raise Refused(400, said)
        blocks = message["content"]
        given = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
        missing = [each for each in before if each not in given]
        if missing:
            where = f"messages.{at}.content"
            said = f"Expected toolResult blocks at {where} for the following Ids: {missing[0]}"
            raise Refused(400, said)
        if len(given) > len(before):
            said = (
                f"The number of toolResult blocks at messages.{at}.content exceeds the number of"
                " toolUse blocks of previous turn."
            )
            raise Refused(400, said)
        before = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
        if len(set(before)) < len(before):
            raise Refused(400, f"messages.{at}.content: `toolUse` ids must be unique")
    if before:
        raise Refused(400, f"Expected toolResult blocks at messages.{len(messages)}.content")


def _check_tools(body: Json) -> None:
    """https://github.com/langgenius/dify/issues/17545 and"
    " https://github.com/alibaba/spring-ai-alibaba/issues/3082"""
    uses = any(
        "toolUse" in block or "toolResult" in block
        for message in body["messages"]
        for block in message["content"]
    )
    config = body.get("toolConfig")
    if uses and not config:
        said = (
            "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        )
        raise Refused(400, said)
    names = []
    for at, tool in enumerate((config or {}).get("tools") or ()):
        spec = tool.get("toolSpec")
        if not spec:
            continue
        names.append(spec["name"])
        schema = spec["inputSchema"].get("json")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            said = (
                f"The value at toolConfig.tools.{at}.toolSpec.inputSchema.json.type must be one"
                " of the following: object."
            )
            raise Refused(400, said)
    if len(set(names)) < len(names):
        raise Refused(400, "toolConfig.tools: tool names must be unique")


def _stop(reply: Reply) -> str:
    if reply.finish_word:
        return reply.finish_word
    return "tool_use" if reply.calls and reply.finish == "stop" else _STOPS[reply.finish]


def _uses(reply: Reply, number: int) -> Iterator[Json]:
    for index, call in enumerate(reply.calls):
        own = reply.ids[index] if index < len(reply.ids) else f"tooluse_{number:06}-{index}"
        yield {"toolUseId": own, "name": call.name, "input": call.arguments}


def _usage(reply: Reply) -> Json:
    given, made = reply.tokens
    return {"inputTokens": given, "outputTokens": made, "totalTokens": given + made}


def whole_converse(reply: Reply, number: int) -> Json:
    """Return a whole answer."""
    content: list[Json] = []
    if reply.thinking:
        told = {"text": reply.thinking, "signature": "RXJVQg=="}
        content.append({"reasoningContent": {"reasoningText": told}})
    if reply.text:
        content.append({"text": reply.text})
    content += [{"toolUse": use} for use in _uses(reply, number)]
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _stop(reply),
        "usage": _usage(reply),
        "metrics": {"latencyMs": 1},
    }


def converse_events(reply: Reply, number: int) -> Iterator[tuple[str, Json]]:
    """Yield the events of a stream, with their kinds."""
    yield "messageStart", {"role": "assistant", "p": "abcd"}
    for index, (kind, deltas) in enumerate(_deltas(reply, number)):
        at = {"contentBlockIndex": index}
        if kind:
            yield "contentBlockStart", {"start": {"toolUse": kind}, **at}
        for delta in deltas:
            yield "contentBlockDelta", {"delta": delta, **at}
        yield "contentBlockStop", at
    if reply.no_done and reply.no_finish:
        return
    yield "messageStop", {"stopReason": _stop(reply)}
    yield "metadata", {"usage": _usage(reply), "metrics": {"latencyMs": 1}}


def _deltas(reply: Reply, number: int) -> Iterator[tuple[Json | None, list[Json]]]:
    if reply.thinking:
        told: list[Json] = [{"reasoningContent": {"text": p}} for p in pieces(reply.thinking)]
        yield None, [*told, {"reasoningContent": {"signature": "RXJVQg=="}}]
    if reply.text:
        yield None, [{"text": piece} for piece in pieces(reply.text)]
    for use in _uses(reply, number):
        named = {"toolUseId": use["toolUseId"], "name": use["name"]}
        given = json.dumps(use["input"])
        yield named, [{"toolUse": {"input": piece}} for piece in pieces(given)]
