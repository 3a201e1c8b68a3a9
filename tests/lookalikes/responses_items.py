"""What OpenAI's Responses API refuses in a conversation: its items, their parts, and what belongs together."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection

from tests.lookalikes.openai_form import check_image_url, no_unknown
from tests.lookalikes.responses_form import check_name, check_string, missing, one_of
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_ITEMS: dict[str, frozenset[str]] = {
    "message": frozenset({"type", "role", "content", "id", "status", "phase"}),
    "function_call": frozenset({"type", "call_id", "name", "arguments", "id", "status"}),
    "function_call_output": frozenset({"type", "call_id", "output", "id", "status"}),
    "reasoning": frozenset({"type", "id", "summary", "content", "encrypted_content", "status"}),
    "item_reference": frozenset({"type", "id"}),
}
_ID_BEGINS = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fc",
    "reasoning": "rs",
}
"""https://github.com/openai/openai-python/issues/2125: "Expected an ID that begins with 'fc'"."""
_INPUT = ("input_text", "input_image", "input_file")
_PARTS = {
    "user": _INPUT,
    "system": _INPUT,
    "developer": _INPUT,
    "assistant": ("output_text", "refusal"),
}
_PART_FIELDS: dict[str, frozenset[str]] = {
    "input_text": frozenset({"type", "text"}),
    "input_image": frozenset({"type", "image_url", "file_id", "detail"}),
    "input_file": frozenset({"type", "file_data", "file_id", "file_url", "filename", "detail"}),
    "output_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "refusal": frozenset({"type", "refusal"}),
}
_STATUSES = ("in_progress", "completed", "incomplete")
_PDF = re.compile(r"data:application/pdf;base64,(.*)", re.DOTALL)
_ID_LENGTH = 64


def check_items(items: list[Json], sealed: Collection[str], *, stored: bool) -> None:
    """`sealed`: the encrypted reasoning that was given out. `stored`: earlier answers are kept."""
    if not items:
        raise missing("input")
    for index, item in enumerate(items):
        _check_item(item, f"input[{index}]")
    _check_pairs(items)
    _check_reasons(items, sealed, stored=stored)


def _check_item(item: Json, where: str) -> None:
    kind = item.get("type", "message") if isinstance(item, dict) else None
    if kind not in _ITEMS:
        said = f"Invalid value: '{kind}'. Supported values are: {', '.join(sorted(_ITEMS))}."
        raise Refused(400, said, param=f"{where}.type", code="invalid_value")
    no_unknown(item, _ITEMS[kind], where)
    one_of(item.get("status"), (None, *_STATUSES), f"{where}.status")
    if item.get("id") is not None:
        _check_id(item["id"], kind, f"{where}.id")
    if kind == "message":
        _check_message(item, where)
    elif kind == "function_call":
        check_name(item.get("name"), f"{where}.name")
        check_string(item.get("arguments"), f"{where}.arguments")
    elif kind == "function_call_output" and not isinstance(item.get("output"), str):
        _check_parts(item.get("output"), _INPUT, f"{where}.output")
    if kind == "reasoning":
        _check_reasoning_item(item, where)
    if kind.startswith("function_call"):
        check_string(item.get("call_id"), f"{where}.call_id", _ID_LENGTH)


def _check_reasoning_item(item: Json, where: str) -> None:
    for name in ("id", "summary"):
        if item.get(name) is None:
            raise missing(f"{where}.{name}")
    if not isinstance(item["summary"], list):
        raise Refused(400, f"Invalid type for '{where}.summary'.", param=where, code="invalid_type")
    for part in item["summary"]:
        no_unknown(part, ("type", "text"), f"{where}.summary")
        one_of(part.get("type"), ("summary_text",), f"{where}.summary")
        check_string(part.get("text"), f"{where}.summary")


def _check_id(value: object, kind: str, where: str) -> None:
    check_string(value, where, _ID_LENGTH)
    begins = _ID_BEGINS.get(kind)
    if begins and not str(value).startswith(begins):
        said = f"Invalid '{where}': '{value}'. Expected an ID that begins with '{begins}'."
        raise Refused(400, said, param=where, code="invalid_value")


def _check_message(item: Json, where: str) -> None:
    role = item.get("role")
    one_of(role, tuple(_PARTS), f"{where}.role")
    if not isinstance(item.get("content"), str):
        _check_parts(item.get("content"), _PARTS[str(role)], f"{where}.content")


def _check_parts(content: object, kinds: tuple[str, ...], where: str) -> None:
    if not isinstance(content, list):
        raise Refused(400, f"Invalid type for '{where}'.", param=where, code="invalid_type")
    for index, part in enumerate(content):
        at = f"{where}[{index}]"
        kind = part.get("type") if isinstance(part, dict) else None
        one_of(kind, kinds, at)
        no_unknown(part, _PART_FIELDS[str(kind)], at)
        if kind in ("input_text", "output_text"):
            check_string(part.get("text"), f"{at}.text")
        elif kind == "input_image" and not part.get("file_id"):
            one_of(part.get("detail"), (None, "auto", "low", "high", "original"), f"{at}.detail")
            check_image_url(part.get("image_url"), f"{at}.image_url")
        elif kind == "input_file":
            _check_file(part, at)


def _check_file(part: Json, at: str) -> None:
    """A file is named and in a data URL, or anywhere else: https://github.com/laravel/ai/pull/324."""
    data = part.get("file_data")
    if data is None:
        if not (part.get("file_id") or part.get("file_url")):
            raise missing(f"{at}.file_id")
        return
    if not part.get("filename"):
        raise missing(f"{at}.filename")
    match = _PDF.fullmatch(data) if isinstance(data, str) else None
    said = f"Invalid '{at}.file_data'. Expected a base64-encoded data URL with an application/pdf MIME type."
    if match is None:
        raise Refused(400, said, param=f"{at}.file_data", code="invalid_value")
    try:
        base64.b64decode(match[1], validate=True)
    except binascii.Error as e:
        raise Refused(400, said, param=f"{at}.file_data", code="invalid_value") from e


def _check_pairs(items: list[Json]) -> None:
    """Each call has its output, and each output its call before it."""
    made: list[str] = []
    for index, item in enumerate(items):
        if item.get("type") == "function_call":
            if item["call_id"] in made:
                raise Refused(
                    400, f"Duplicate function call {item['call_id']}.", param=f"input[{index}]"
                )
            made.append(item["call_id"])
        elif item.get("type") == "function_call_output":
            identity = item["call_id"]
            if identity not in made:
                said = f"No tool call found for function call output with call_id {identity}."
                raise Refused(400, said, param=f"input[{index}]")
            made.remove(identity)
    if made:
        said = f"No tool output found for function call {made[0]}."
        raise Refused(400, said, param="input")


def _check_reasons(items: list[Json], sealed: Collection[str], *, stored: bool) -> None:
    """Reasoning can be read, and is followed by what it led to.

    "without its required following item": https://github.com/openai/codex/issues/1235
    """
    for item, following in zip(items, [*items[1:], {}], strict=True):
        if item.get("type") != "reasoning":
            continue
        encrypted = item.get("encrypted_content")
        if encrypted is None and not stored:
            said = (
                f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false."
                " Try again with `store` set to true, or remove this item from your input."
            )
            raise Refused(404, said, param="input")
        if encrypted is not None and encrypted not in sealed:
            said = f"The encrypted content {str(encrypted)[:4]}... could not be verified."
            raise Refused(400, said, code="invalid_encrypted_content")
        told = following.get("type") == "function_call" or following.get("role") == "assistant"
        if not told:
            said = f"Item '{item['id']}' of type 'reasoning' was provided without its required following item."
            raise Refused(400, said, param="input")
