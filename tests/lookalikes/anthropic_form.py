"""Anthropic's Messages as the clouds take them: Claude on Azure AI, Bedrock and Vertex AI.

https://docs.claude.com/en/api/messages; the words of the errors are those that its users quote.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from tests.lookalikes.schemas import walk
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

FIELDS = frozenset(
    """
messages max_tokens system tools tool_choice stop_sequences temperature top_p top_k thinking stream
metadata output_config output_format cache_control
    """.split()  # noqa: SIM905 - 15 lines otherwise
)
_BLOCKS: dict[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "cache_control", "citations"}),
    "image": frozenset({"type", "source", "cache_control"}),
    "document": frozenset({"type", "source", "title", "context", "citations", "cache_control"}),
    "tool_use": frozenset({"type", "id", "name", "input", "cache_control", "caller"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}
_ROLES = {
    "user": ("text", "image", "document", "tool_result"),
    "assistant": ("text", "tool_use", "thinking", "redacted_thinking"),
}
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def check_messages(body: Json, also: frozenset[str] = frozenset()) -> None:
    """Check a request. `also` are fields that a cloud has beside. Raises Refused."""
    _known(body, FIELDS | also, "")
    count = body.get("max_tokens")
    if not isinstance(count, int) or count < 1:
        raise Refused(400, "max_tokens: Field required")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "messages: at least one message is required")
    for at, message in enumerate(messages):
        _check_message(message, f"messages.{at}")
    _check_system(body.get("system"))
    _check_tools(body)
    _check_thinking(body)
    _check_results(messages)
    _check_last(messages[-1])


def _known(value: Any, names: frozenset[str], where: str) -> None:
    if not isinstance(value, dict):
        raise Refused(400, f"{where}: Input should be a valid dictionary")
    for name in sorted(value):
        if name not in names:
            path = f"{where}.{name}".lstrip(".")
            raise Refused(400, f"{path}: Extra inputs are not permitted")


def _check_message(message: Json, where: str) -> None:
    _known(message, frozenset({"role", "content"}), where)
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        raise Refused(
            400, f'{where}: Unexpected role "{role}". The Messages API accepts a top-level `system`'
        )
    if not content:
        raise Refused(400, f"{where}: all messages must have non-empty content")
    if isinstance(content, str):
        _check_text(content)
        return
    for number, block in enumerate(content):
        if block.get("type") not in _ROLES[role]:
            raise Refused(400, f"{where}.content.{number}: Input tag '{block.get('type')}' found")
        _check_block(block, f"{where}.content.{number}")


def _check_text(text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise Refused(400, "messages: text content blocks must contain non-whitespace text")


def _check_block(block: Json, where: str) -> None:
    kind = str(block["type"])
    _known(block, _BLOCKS[kind], f"{where}.{kind}")
    if kind == "text":
        _check_text(block.get("text"))
    elif kind in ("image", "document"):
        _check_source(block.get("source") or {}, f"{where}.{kind}.source")
    elif kind == "tool_use":
        _check_call(block, f"{where}.tool_use")
    elif kind == "tool_result":
        inner = block.get("content")
        for number, part in enumerate(inner if isinstance(inner, list) else ()):
            _check_block(part, f"{where}.tool_result.content.{number}")
    elif kind == "thinking" and not block.get("signature"):
        raise Refused(400, f"{where}.thinking.signature: Field required")


def _check_call(block: Json, where: str) -> None:
    if not _ID.fullmatch(str(block.get("id"))):
        raise Refused(400, f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not _NAME.fullmatch(str(block.get("name"))):
        raise Refused(400, f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if not isinstance(block.get("input"), dict):
        raise Refused(400, f"{where}.input: Input should be a valid dictionary")


def _check_source(source: Json, where: str) -> None:
    kind = source.get("type")
    if kind == "url":
        return
    if kind == "text":
        _check_text(source.get("data"))
        return
    if kind != "base64":
        raise Refused(400, f"{where}: Input tag '{kind}' found using 'type'")
    media = str(source.get("media_type"))
    if media not in (*_IMAGES, "application/pdf"):
        raise Refused(400, f"{where}.base64.media_type: Input should be 'image/jpeg', …")
    try:
        base64.b64decode(str(source.get("data")), validate=True)
    except binascii.Error as e:
        raise Refused(400, f"{where}.base64.data: Invalid base64") from e


def _check_system(system: Any) -> None:
    for number, block in enumerate(system if isinstance(system, list) else ()):
        if not isinstance(block, dict) or not str(block.get("text") or "").strip():
            raise Refused(400, "system: text content blocks must be non-empty")
        _known(block, _BLOCKS["text"], f"system.{number}")


def _check_tools(body: Json) -> None:
    names = []
    for number, tool in enumerate(body.get("tools") or ()):
        where = f"tools.{number}.custom"
        members = {"type", "name", "description", "input_schema", "cache_control", "strict"}
        _known(tool, frozenset(members), where)
        if not _NAME.fullmatch(str(tool.get("name"))):
            raise Refused(
                400, f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )
        _check_schema(tool.get("input_schema"), f"{where}.input_schema")
        names.append(tool["name"])
    if len(set(names)) < len(names):
        raise Refused(400, "tools: Tool names must be unique.")
    choice = body.get("tool_choice") or {}
    if choice and not names:
        raise Refused(400, "tool_choice: tool_choice may only be specified while providing tools")
    if choice.get("type") == "tool" and choice.get("name") not in names:
        raise Refused(400, f"tool_choice: Tool '{choice.get('name')}' not found in provided tools")
    if not names and any(_ids(message, "tool_use") for message in body["messages"]):
        raise Refused(
            400, "Requests which include `tool_use` or `tool_result` blocks must define tools"
        )


def _check_schema(schema: Any, where: str) -> None:
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise Refused(400, f"{where}.type: Input should be 'object'")
    if any(word in schema for word in ("oneOf", "allOf", "anyOf")):
        raise Refused(
            400, f"{where}: input_schema does not support oneOf, allOf, or anyOf at the top level"
        )
    for path, each in walk(schema):
        if not isinstance(each, dict | bool):
            raise Refused(
                400,
                f"{where}: JSON schema is invalid. It must match JSON Schema draft 2020-12 {path}",
            )
        for name in each.get("properties") or () if isinstance(each, dict) else ():
            if not _KEY.fullmatch(name):
                raise Refused(
                    400,
                    f"{where}.properties: Property keys should match pattern"
                    f" '^[a-zA-Z0-9_.-]{{1,64}}$'",
                )


def _check_thinking(body: Json) -> None:
    thinking = body.get("thinking") or {}
    if thinking.get("type") in (None, "disabled"):
        return
    forced = (body.get("tool_choice") or {}).get("type") in ("any", "tool")
    if forced:
        raise Refused(400, "Thinking may not be enabled when tool_choice forces tool use.")
    if thinking["type"] == "adaptive":
        return
    budget = thinking.get("budget_tokens", 0)
    if budget < 1024:
        raise Refused(
            400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        )
    if budget >= body["max_tokens"]:
        raise Refused(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")
    if body.get("temperature", 1) != 1:
        raise Refused(400, "`temperature` may only be set to 1 when thinking is enabled.")
    last = next((m for m in reversed(body["messages"]) if m["role"] == "assistant"), None)
    results = _ids(body["messages"][-1], "tool_result")
    if last and results and last["content"][0]["type"] not in ("thinking", "redacted_thinking"):
        found = last["content"][0]["type"]
        raise Refused(400, f"Expected `thinking` or `redacted_thinking`, but found `{found}`.")


def _ids(message: Json, kind: str) -> list[str]:
    content = message["content"] if isinstance(message["content"], list) else []
    return [b.get("id") or b.get("tool_use_id") for b in content if b["type"] == kind]


def _check_results(messages: list[Json]) -> None:
    seen: set[str] = set()
    for at, message in enumerate(messages):
        made = _ids(message, "tool_use")
        if seen & set(made) or len(set(made)) < len(made):
            raise Refused(400, f"messages.{at}.content: `tool_use` ids must be unique")
        seen |= set(made)
        given = _ids(messages[at + 1], "tool_result") if at + 1 < len(messages) else []
        missing = [each for each in made if each not in given]
        if missing:
            raise Refused(
                400,
                f"messages.{at}: `tool_use` ids were found without `tool_result` blocks"
                f" immediately after: {missing[0]}",
            )
        before = _ids(messages[at - 1], "tool_use") if at else []
        for each in _ids(message, "tool_result"):
            if each not in before:
                raise Refused(
                    400,
                    f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {each}",
                )


def _check_last(message: Json) -> None:
    content = message["content"]
    text = content if isinstance(content, str) else content[-1].get("text", "x")
    if message["role"] == "assistant" and text != text.rstrip():
        raise Refused(400, "messages: final assistant content cannot end with trailing whitespace")
