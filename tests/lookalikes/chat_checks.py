"""Checks a body of Chat Completions by a dialect."""

from __future__ import annotations

import base64
import binascii
import re

from tests.lookalikes import schemas
from tests.lookalikes.chat_dialect import Dialect, Path, dotted
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

_IMAGE = re.compile(r"data:image/(png|jpeg|jpg|gif|webp);base64,(.*)", re.DOTALL)
_FILE = re.compile(r"data:application/pdf;base64,(.*)", re.DOTALL)


def check_body(dialect: Dialect, body: Json) -> None:
    """Raises Refused."""
    dialect.known(body, dialect.fields, ())
    if not isinstance(body.get("model"), str):
        raise Refused(dialect.status, "you must provide a model parameter")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(dialect.status, "Invalid 'messages': empty array.", param="messages")
    _check_limits(dialect, body)
    _check_tools(dialect, body)
    _check_format(dialect, body)
    for index, message in enumerate(messages):
        _check_message(dialect, message, ("messages", index))
    check_pairs(messages)
    for check in dialect.more:
        check(dialect, body)


def _check_limits(dialect: Dialect, body: Json) -> None:
    stop = body.get("stop")
    if isinstance(stop, list) and dialect.most_stops and len(stop) > dialect.most_stops:
        said = f"Invalid 'stop': array too long. Expected at most {dialect.most_stops} items."
        raise Refused(dialect.status, said, param="stop", code="array_above_max_length")
    for name in ("max_tokens", "max_completion_tokens"):
        count = body.get(name)
        if count is not None and (not isinstance(count, int) or count < 1):
            said = f"Invalid '{name}': integer below minimum value. Expected a value >= 1."
            raise Refused(dialect.status, said, param=name, code="integer_below_min_value")


def _check_tools(dialect: Dialect, body: Json) -> None:
    tools = body.get("tools")
    if tools == []:
        raise Refused(dialect.status, "Invalid 'tools': empty array.", param="tools")
    count, most = len(tools or ()), dialect.most_tools
    if most and count > most:
        said = dialect.too_many_tools.format(most=most, count=count)
        raise Refused(dialect.status, said, param="tools", code="array_above_max_length")
    for index, tool in enumerate(tools or ()):
        _check_tool(dialect, tool, ("tools", index))
    names = [tool["function"]["name"] for tool in tools or ()]
    _check_choice(dialect, body, names)


def _check_tool(dialect: Dialect, tool: Json, path: Path) -> None:
    dialect.known(tool, ("type", "function"), path)
    if tool.get("type") != "function":
        raise Refused(dialect.status, f"Invalid value: '{tool.get('type')}'.", param=dotted(path))
    members = ("name", "description", "parameters", "strict")
    function = dialect.known(tool.get("function"), members, (*path, "function"))
    name = function.get("name")
    check_name(dialect, name, (*path, "function", "name"))
    if not isinstance(function.get("description", ""), str):
        raise Refused(dialect.status, f"Invalid type for '{dotted(path)}.function.description'.")
    if function.get("parameters") is None:
        return
    try:
        dialect.schema(name, function["parameters"])
    except ValueError as e:
        where = dotted((*path, "function", "parameters"))
        code = "invalid_function_parameters"
        raise Refused(dialect.status, str(e), param=where, code=code) from e


def _check_choice(dialect: Dialect, body: Json, names: list[str]) -> None:
    choice = body.get("tool_choice")
    if not names and dialect.unknown is not None:
        for field in ("tool_choice", "parallel_tool_calls"):
            if body.get(field) is not None:
                said = f"Invalid value for '{field}': '{field}' is only allowed when 'tools' are specified."
                raise Refused(dialect.status, said, param=field)
    if isinstance(choice, dict):
        if not dialect.named_choice:
            known = ", ".join(sorted(dialect.choices))
            said = f"Invalid tool_choice type: 'object'. Supported string values: {known}"
            raise Refused(dialect.status, said)
        wanted = (choice.get("function") or {}).get("name")
        if choice.get("type") != "function" or wanted not in names:
            raise Refused(dialect.status, f"Tool choice '{wanted}' not found in 'tools'.")
    elif choice is not None and choice not in dialect.choices:
        raise Refused(dialect.status, f"Invalid value: '{choice}'.", param="tool_choice")


def check_name(dialect: Dialect, name: object, path: Path) -> None:
    """Check a tool's name. Raises Refused."""
    if not isinstance(name, str) or not dialect.names.fullmatch(name):
        said = dialect.wrong_name.format(where=dotted(path), name=name)
        raise Refused(dialect.status, said, param=dotted(path), code="invalid_value")


def _check_format(dialect: Dialect, body: Json) -> None:
    form = body.get("response_format")
    if form is None:
        return
    kind = form.get("type") if isinstance(form, dict) else form
    if kind not in dialect.formats:
        raise Refused(dialect.status, dialect.wrong_format.format(kind=kind))
    if kind == "json_schema":
        members = ("name", "description", "schema", "strict")
        wanted = dialect.known(form.get("json_schema"), members, ("response_format", "json_schema"))
        check_name(dialect, wanted.get("name"), ("response_format", "json_schema", "name"))
        try:
            if wanted.get("strict"):
                schemas.strict(wanted["name"], wanted.get("schema"))
        except ValueError as e:
            raise Refused(dialect.status, str(e), param="response_format") from e


def _check_message(dialect: Dialect, message: Json, path: Path) -> None:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in dialect.messages:
        known = ", ".join(f"'{name}'" for name in dialect.messages)
        said = f"Invalid value: '{role}'. Supported values are: {known}."
        raise Refused(dialect.status, said, param=f"{dotted(path)}.role", code="invalid_value")
    dialect.known(message, dialect.messages[role], path)
    _check_content(dialect, message, path)
    if message.get("tool_calls") == []:
        said = (
            f"Invalid '{dotted(path)}.tool_calls': empty array. Expected an array with minimum"
            " length 1, but got an empty array instead."
        )
        raise Refused(dialect.status, said, code="empty_array")
    for index, call in enumerate(message.get("tool_calls") or ()):
        _check_call(dialect, call, (*path, "tool_calls", index))
    if role == "tool":
        check_id(dialect, message.get("tool_call_id"), (*path, "tool_call_id"))


def _check_content(dialect: Dialect, message: Json, path: Path) -> None:
    content = message.get("content")
    where = f"{dotted(path)}.content"
    if content is None:
        calls = message["role"] == "assistant" and message.get("tool_calls")
        if not (calls and dialect.null_content):
            said = f"Invalid value for 'content': expected a string, got null. ({where})"
            raise Refused(dialect.status, said, param=where)
        return
    if isinstance(content, str):
        return
    if not isinstance(content, list) or not content:
        raise Refused(dialect.status, f"Invalid '{where}'.", param=where)
    for index, part in enumerate(content):
        _check_part(dialect, part, message["role"], (*path, "content", index))


def _check_part(dialect: Dialect, part: Json, role: str, path: Path) -> None:
    kind = part.get("type")
    if kind not in dialect.parts[role]:
        known = dialect.parts[role]
        said = f"Invalid value: '{kind}'. Supported values are: {known} for role '{role}'."
        where = f"{dotted(path)}.type"
        raise Refused(dialect.status, said, param=where, code="invalid_value")
    dialect.known(part, ("type", str(kind)), path)
    if kind == "text" and not isinstance(part.get("text"), str):
        raise Refused(dialect.status, f"Invalid type for '{dotted(path)}.text'.")
    if kind == "image_url":
        _check_image(dialect, part["image_url"], (*path, "image_url"))
    if kind == "file":
        file = dialect.known(part["file"], ("file_data", "filename", "file_id"), (*path, "file"))
        _check_data(dialect, _FILE.fullmatch(str(file.get("file_data"))), path)


def _check_image(dialect: Dialect, image: object, path: Path) -> None:
    image = dialect.known(image, ("url", "detail"), path)
    url = str(image.get("url"))
    if dialect.links and url.startswith(("http://", "https://")):
        return
    match = _IMAGE.fullmatch(url)
    _check_data(dialect, match and re.fullmatch(r"()(.*)", match[2], re.DOTALL), path)


def _check_data(dialect: Dialect, match: re.Match[str] | None, path: Path) -> None:
    where = dotted(path)
    if match is None:
        said = f"Invalid '{where}'. Expected a valid URL, or a base64-encoded data URL."
        raise Refused(dialect.status, said, param=where, code="invalid_value")
    try:
        base64.b64decode(match[match.re.groups], validate=True)
    except binascii.Error as e:
        said = f"Invalid '{where}'. Expected a base64-encoded data URL."
        raise Refused(dialect.status, said, param=where, code="invalid_base64") from e


def _check_call(dialect: Dialect, call: Json, path: Path) -> None:
    dialect.known(call, ("id", "type", "function", "index"), path)
    check_id(dialect, call.get("id"), (*path, "id"))
    members = ("name", "arguments")
    function = dialect.known(call.get("function"), members, (*path, "function"))
    check_name(dialect, function.get("name"), (*path, "function", "name"))
    if not isinstance(function.get("arguments"), str):
        raise Refused(dialect.status, f"Invalid type for '{dotted(path)}.function.arguments'.")


def check_id(dialect: Dialect, identity: object, path: Path) -> None:
    """Check the id of a call. Raises Refused."""
    if not isinstance(identity, str) or not dialect.ids.fullmatch(identity):
        where, length = dotted(path), len(str(identity))
        said = dialect.wrong_id.format(where=where, length=length, id=identity)
        raise Refused(dialect.status, said, param=where, code="string_above_max_length")


def check_pairs(messages: list[Json]) -> None:
    """Calls are answered right behind them, each once, and nothing else is answered. Raises Refused."""
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            identity = message.get("tool_call_id")
            if identity not in waiting:
                said = (
                    "Invalid parameter: messages with role 'tool' must be a response to a"
                    " preceeding message with 'tool_calls'."
                )
                raise Refused(400, said, param=f"messages.[{index}].role")
            waiting.remove(identity)
            continue
        _all_answered(waiting)
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
        if len(set(waiting)) < len(waiting):
            # https://github.com/agno-agi/agno/issues/5116
            said = f"Invalid parameter: Duplicate value for 'tool_call_id' of '{waiting[0]}'"
            raise Refused(400, f"{said}, in messages[{index + 1}] and messages[{index + 2}].")
    _all_answered(waiting)


def _all_answered(waiting: list[str]) -> None:
    if waiting:
        said = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding"
            " to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
        )
        raise Refused(400, said + ", ".join(waiting), param="messages")
