"""The tools of a request in the form of the Responses API.

Those of a namespace (Codex puts those of an MCP server into one) become tools of their own (`tool_names`). Those that
OpenAI's servers run are left out, and that is noted, unless one of them must be called.
https://platform.openai.com/docs/guides/tools
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import msgspec

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.reading import NULL, read, read_items, text_of
from neurolink_mitm.core.openai.responses.client_tools import ToolKind
from neurolink_mitm.core.openai.responses.tool_names import ToolNames
from neurolink_mitm.core.openai.tools import Tools

HOSTED = re.compile(
    r"(web_search|file_search|computer|code_interpreter|image_generation|mcp|shell|apply_patch|programmatic_tool_calling)"
    r"(_(preview|use|use_preview))?(_\d{4}_\d{2}_\d{2})?"
)
"""Types of tools whose calls have a form of their own, and which mostly run on OpenAI's servers."""
LOCAL_SHELL: Final = "local_shell"
TOOL_SEARCH: Final = "tool_search"
_SHELL_WORDS = msgspec.Raw(
    b'"Runs a command on the user\'s machine and returns its output. The command is a list: program and arguments."'
)
_SHELL_INPUT = msgspec.Raw(
    b'{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"}},"working_directory":'
    b'{"type":"string"},"timeout_ms":{"type":"integer"},"env":{"type":"object","additionalProperties":{"type":"string"}}},'
    b'"required":["command"]}'
)


class _Tool(msgspec.Struct, gc=False):
    """A tool: the members of all types."""

    type: str
    name: msgspec.Raw = NULL
    description: msgspec.Raw = NULL
    parameters: msgspec.Raw = NULL
    strict: bool | None = None
    format: msgspec.Raw = NULL
    tools: msgspec.Raw = NULL
    execution: str | None = None
    function: msgspec.Raw = NULL
    """A function in the form of chat requests, which some clients send."""


class _Function(msgspec.Struct, gc=False):
    name: msgspec.Raw = NULL
    description: msgspec.Raw = NULL
    parameters: msgspec.Raw = NULL
    strict: bool | None = None


_tools = msgspec.json.Decoder(list[_Tool])
_function = msgspec.json.Decoder(_Function)
_LONGEST_SPACE = 128
"""Characters of a namespace's name."""


@dataclass(slots=True)
class ResponseTools:
    """Collects the tools of a request, in the order of their coming."""

    tools: Tools
    of_request: bool = True
    """Whether those of the request itself are added. Tools in items come next: the later one of a name counts, but for
    names in the request."""
    left_out: dict[str, None] = field(default_factory=dict)
    """The types of those that can't be called here."""
    names: ToolNames = field(default_factory=ToolNames)
    _lasting: set[bytes] = field(default_factory=set)
    """The JSON of the names of the request's own tools."""
    _added: list[bytes] = field(default_factory=list)
    """The JSON of the names that were added last."""

    def loaded(self, listed: msgspec.Raw, at: str) -> str:
        """Add the tools that a search has found, and return words that name them. Raises `RequestError`."""
        self._added.clear()
        self.add(listed, at)
        names = ", ".join(msgspec.json.decode(name) for name in self._added)
        return f"These tools can be called now: {names}." if names else "No tool was found."

    def add(self, listed: msgspec.Raw, at: str) -> None:
        """Add the tools of a list. Raises `RequestError`."""
        if listed == NULL:
            return
        for place, tool in read_items(_tools, listed, at):
            self._add(tool, place, None)

    def _add(self, tool: _Tool, at: str, namespace: str | None) -> None:
        match tool.type:
            case "function":
                self._function(tool, at, namespace)
            case "custom":
                self._custom(tool, at, namespace)
            case "namespace" if namespace is None:
                self._space(tool, at)
            case "local_shell":
                self._own(LOCAL_SHELL, _SHELL_WORDS, _SHELL_INPUT, at)
            case "tool_search" if tool.execution == "client":
                self._own(TOOL_SEARCH, tool.description, tool.parameters, at)
            case "tool_search":
                pass  # on OpenAI's servers: here all tools are loaded
            case hosted if HOSTED.fullmatch(hosted):
                self.left_out[hosted] = None
            case kind:
                words = f"Invalid '{at}.type': {kind[:100]!r} is no type of tool here"
                raise RequestError(words, f"{at}.type", "invalid_value")

    def _space(self, space: _Tool, at: str) -> None:
        """Add the tools of a namespace. What is said of all of them stands before the first one's description."""
        name = text_of(space.name, f"{at}.name")
        if len(name) > _LONGEST_SPACE:
            longest = f"longer than {_LONGEST_SPACE} characters"
            raise RequestError(f"Invalid '{at}.name': {longest}", f"{at}.name", "invalid_value")
        words = _words(space.description, f"{at}.description")
        for place, tool in read_items(_tools, space.tools, f"{at}.tools"):
            if words:
                own = _words(tool.description, f"{place}.description")
                tool.description = msgspec.Raw(msgspec.json.encode(f"{words}\n\n{own}".strip()))
                words = ""
            self._add(tool, place, name)

    def _function(self, tool: _Tool, at: str, namespace: str | None) -> None:
        given: _Tool | _Function = tool
        if tool.function != NULL:
            at = f"{at}.function"
            given = read(_function, tool.function, at)
        name = self.names.declared(given.name, namespace, f"{at}.name")
        strict = given.strict is True
        if self._is_new(name):
            self.tools.function(
                msgspec.Raw(name), given.description, given.parameters, strict=strict, at=at
            )

    def _custom(self, tool: _Tool, at: str, namespace: str | None) -> None:
        name = self.names.declared(tool.name, namespace, f"{at}.name")
        if self._is_new(name):
            self.tools.custom(msgspec.Raw(name), tool.description, tool.format, at=at)
            self.names.is_of_kind("custom", text_of(tool.name, f"{at}.name"), namespace)

    def _own(self, kind: ToolKind, description: msgspec.Raw, schema: msgspec.Raw, at: str) -> None:
        name = msgspec.json.encode(self.names.of(kind))
        if self._is_new(name):
            self.tools.function(msgspec.Raw(name), description, schema, strict=False, at=at)
            self.names.is_of_kind(kind, kind)

    def _is_new(self, name: bytes) -> bool:
        """Tell whether a tool is added, and make room for it."""
        self._added.append(name)
        if self.of_request:
            self._lasting.add(name)
        elif name in self._lasting:
            return False
        else:
            self.tools.remove(name)
        return True


def _words(description: msgspec.Raw, at: str) -> str:
    return "" if description == NULL else text_of(description, at)
