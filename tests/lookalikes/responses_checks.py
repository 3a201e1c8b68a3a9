"""What OpenAI's Responses API refuses in a request. The words of the errors are those that its users quote."""

from __future__ import annotations

import re
from typing import Any

from tests.lookalikes import schemas
from tests.lookalikes.openai_form import (
    check_schema,
    check_tier,
    no_unknown,
)
from tests.lookalikes.responses_form import check_name, missing, one_of, unsupported
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

FIELDS = frozenset({
    "background", "context_management", "conversation", "include", "input", "instructions",
    "max_output_tokens", "max_tool_calls", "metadata", "model", "parallel_tool_calls", "previous_response_id",
    "prompt", "prompt_cache_key", "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier",
    "store", "stream", "stream_options", "temperature", "text", "tool_choice", "tools", "top_logprobs",
    "top_p", "truncation", "user"
})  # fmt: skip
_FUNCTION = ("type", "name", "description", "parameters", "strict")
_BUILT_IN = frozenset({"web_search", "web_search_preview", "file_search", "mcp", "local_shell"})
_INCLUDES = frozenset({
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
    "reasoning.encrypted_content", "message.output_text.logprobs"
})  # fmt: skip
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_SUMMARIES = ("auto", "concise", "detailed")
_LEAST_TOKENS = 16
_MOST_TOOLS = 128
_INSTRUCTIONS_LENGTH = 1_048_576


def thinks(model: str) -> bool:
    """Tell whether the model reasons, and so takes no temperature."""
    return bool(re.match(r"o\d|gpt-[5-9]", model)) and "-chat" not in model


def check_fields(body: Json, most_tokens: int | None, *, verified: bool) -> None:
    no_unknown(body, FIELDS, "")
    if not isinstance(body.get("model"), str):
        raise missing("model")
    check_tier(body)
    for name, wanted in (
        ("stream", bool),
        ("store", bool),
        ("parallel_tool_calls", bool),
        ("instructions", str),
    ):
        if body.get(name) is not None and not isinstance(body[name], wanted):
            raise Refused(400, f"Invalid type for '{name}'.", param=name, code="invalid_type")
    _check_tokens(body.get("max_output_tokens"), most_tokens)
    for name, value in (body.get("metadata") or {}).items():
        if not isinstance(value, str) or len(value) > 512:
            raise Refused(400, f"Invalid 'metadata.{name}'.", param=f"metadata.{name}")
    for name, most in (
        ("user", 64),
        ("safety_identifier", 64),
        ("instructions", _INSTRUCTIONS_LENGTH),
    ):
        if len(str(body.get(name) or "")) > most:
            said = f"Invalid '{name}': string too long. Expected at most {most} characters."
            raise Refused(400, said, param=name, code="string_above_max_length")
    _check_reasoning(body, verified=verified)
    _check_sampling(body)
    _check_text(body.get("text"))


def _check_tokens(count: object, most: int | None) -> None:
    if count is None:
        return
    said = f"Invalid 'max_output_tokens': integer %s value. Expected a value %s, but got {count} instead."
    if type(count) is not int:
        raise Refused(
            400,
            "Invalid type for 'max_output_tokens'.",
            param="max_output_tokens",
            code="invalid_type",
        )
    if count < _LEAST_TOKENS:
        words = said % ("below minimum", f">= {_LEAST_TOKENS}")
        raise Refused(400, words, param="max_output_tokens", code="integer_below_min_value")
    if most is not None and count > most:
        words = said % ("above maximum", f"<= {most}")
        raise Refused(400, words, param="max_output_tokens", code="integer_above_max_value")


def _check_reasoning(body: Json, *, verified: bool) -> None:
    reasoning = body.get("reasoning") or {}
    no_unknown(reasoning, ("effort", "summary", "generate_summary"), "reasoning")
    able = thinks(body["model"])
    if reasoning.get("effort") and not able:
        raise unsupported("reasoning.effort")
    one_of(reasoning.get("effort"), (None, *_EFFORTS), "reasoning.effort")
    one_of(reasoning.get("summary"), (None, *_SUMMARIES), "reasoning.summary")
    if reasoning.get("summary") and not verified:
        said = (
            "Your organization must be verified to generate reasoning summaries. Please go to:"
            " https://platform.openai.com/settings/organization/general and click on Verify Organization."
        )
        raise Refused(400, said, param="reasoning.summary", code="unsupported_value")
    for name in body.get("include") or ():
        one_of(name, tuple(sorted(_INCLUDES)), "include[0]")
    if "reasoning.encrypted_content" in (body.get("include") or ()) and not able:
        raise Refused(400, "Encrypted content is not supported with this model.", param="include")


def _check_sampling(body: Json) -> None:
    for name, most in (("temperature", 2), ("top_p", 1)):
        value = body.get(name)
        if value is None:
            continue
        if thinks(body["model"]):
            raise unsupported(name)
        if not isinstance(value, int | float) or not 0 <= value <= most:
            raise Refused(400, f"Invalid '{name}'.", param=name, code="decimal_above_max_value")


def _check_text(text: object) -> None:
    if text is None:
        return
    no_unknown(text, ("format", "verbosity"), "text")
    form: Any = text.get("format") if isinstance(text, dict) else None
    if form is None:
        return
    no_unknown(form, ("type", "name", "schema", "strict", "description"), "text.format")
    one_of(form.get("type"), ("text", "json_object", "json_schema"), "text.format.type")
    if form["type"] != "json_schema":
        return
    if form.get("name") is None:
        raise missing("text.format.name")
    check_name(form["name"], "text.format.name")
    if not isinstance(form.get("schema"), dict):
        raise missing("text.format.schema")
    if form.get("strict"):
        try:
            schemas.strict(form["name"], form["schema"])
        except ValueError as e:
            raise Refused(
                400, str(e), param="text.format.schema", code="invalid_json_schema"
            ) from e


def check_tools(body: Json) -> None:
    tools = body.get("tools") or []
    if len(tools) > _MOST_TOOLS:
        said = (
            f"Invalid 'tools': array too long. Expected an array with maximum length {_MOST_TOOLS},"
            f" but got an array with length {len(tools)} instead."
        )
        raise Refused(400, said, param="tools", code="array_above_max_length")
    for index, tool in enumerate(tools):
        _check_tool(tool, f"tools[{index}]")
    _check_choice(body.get("tool_choice"), [tool.get("name") for tool in tools])


def _check_tool(tool: Json, where: str) -> None:
    if tool.get("type") in _BUILT_IN:
        return
    one_of(tool.get("type"), ("function", *sorted(_BUILT_IN)), f"{where}.type")
    no_unknown(tool, _FUNCTION, where)
    check_name(tool.get("name"), f"{where}.name")
    if tool.get("description") is not None and not isinstance(tool["description"], str):
        raise Refused(
            400, f"Invalid type for '{where}.description'.", param=where, code="invalid_type"
        )
    check_schema(tool["name"], tool.get("parameters"), where)
    if tool.get("strict"):
        try:
            schemas.strict(tool["name"], tool.get("parameters"))
        except ValueError as e:
            code = "invalid_function_parameters"
            raise Refused(400, str(e), param=f"{where}.parameters", code=code) from e


def _check_choice(choice: object, names: list[str | None]) -> None:
    if isinstance(choice, dict):
        no_unknown(choice, ("type", "name", "mode", "tools", "server_label"), "tool_choice")
        if choice.get("type") == "function" and choice.get("name") not in names:
            said = f"Tool choice '{choice.get('name')}' not found in 'tools' parameter."
            raise Refused(400, said, param="tool_choice")
    else:
        one_of(choice, (None, "none", "auto", "required"), "tool_choice")
    if choice == "required" and not names:
        said = "Tool choice 'required' must be specified with 'tools' parameter."
        raise Refused(400, said, param="tool_choice")
