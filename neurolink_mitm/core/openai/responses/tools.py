"""The tools of a request in the form of the Responses API, and the names that they have in a Messages request.

A tool of a namespace (Codex puts those of an MCP server into one) gets a name with both, and the answer has both again.
Those that OpenAI's servers run are left out, and that is noted, unless one of them must be called.
https://platform.openai.com/docs/guides/tools
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.reading import NULL, read, read_items, text_of
from neurolink_mitm.core.openai.responses.client_tools import ClientTool, ToolKind
from neurolink_mitm.core.openai.tools import Choice, Tools
from neurolink_mitm.core.openai.turns import tool_name

HOSTED = re.compile(
    r"(web_search|file_search|computer|code_interpreter|image_generation|mcp|shell|apply_patch|programmatic_tool_calling)"
    r"(_(preview|use|use_preview))?(_\d{4}_\d{2}_\d{2})?"
)
"""Types of tools whose calls have a form of their own, and which mostly run on OpenAI's servers."""
_WORDS = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
    "tool": "required",
}
"""Types of a `tool_choice` that name no tool."""
LOCAL_SHELL: Final = "local_shell"
TOOL_SEARCH: Final = "tool_search"
_OTHERS = re.compile(r"[^a-zA-Z0-9_-]")
_PLAIN = re.compile(r"[a-zA-Z0-9_-]{1,128}")
"""A name that Anthropic takes."""
_LONGEST_NAME = 64
_DEFAULT_SPACE = "functions"
"""The namespace of what is in none: Codex takes calls of its tools without it."""
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


class _Name(msgspec.Struct, gc=False):
    name: str


class _Chosen(msgspec.Struct, gc=False):
    """A `tool_choice` that is an object, or a tool that it allows."""

    type: str
    name: str | None = None
    function: _Name | None = None
    namespace: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: msgspec.Raw = NULL


_tools = msgspec.json.Decoder(list[_Tool])
_function = msgspec.json.Decoder(_Function)
_choice = msgspec.json.Decoder(Literal["auto", "none", "required"] | _Chosen | None)
_allowed = msgspec.json.Decoder(list[_Chosen])
_Key = tuple[str | None, str]
"""Namespace and name."""


@dataclass(slots=True)
class ResponseTools:
    """Collects the tools of a request, in the order of their coming."""

    tools: Tools
    of_request: bool = True
    """Whether those of the request itself are added. Tools in items come next: the later one of a name counts, but for
    names in the request."""
    left_out: dict[str, None] = field(default_factory=dict)
    """The types of those that can't be called here."""
    _names: dict[_Key, str] = field(default_factory=dict)
    _kinds: dict[_Key, ToolKind] = field(default_factory=dict)
    _taken: dict[str, _Key] = field(default_factory=dict)
    _alike: dict[str, list[str]] = field(default_factory=dict)
    """By the name that tools of several namespaces may have."""
    _lasting: set[bytes] = field(default_factory=set)
    """The JSON of the names of the request's own tools."""
    _added: list[bytes] = field(default_factory=list)
    """The JSON of the names that were added last."""
    _called: dict[tuple[bytes, str | None], bytes] = field(default_factory=dict)
    """What `called` has returned."""

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
        self._called.clear()
        for place, tool in read_items(_tools, listed, at):
            self._add(tool, place, None)

    def name(self, name: str, namespace: str | None = None) -> str:
        """Return the name that a tool has in the Messages request; always the same one in a conversation."""
        key = (_named(namespace), name)
        if key not in self._names:
            made = _joined(*key)
            if self._taken.get(made, key) != key:
                made = _shortened(made, f"{namespace} {name}")
            self._names[key] = made
            self._taken[made] = key
            self._alike.setdefault(name, []).append(made)
        return self._names[key]

    def called(self, name: msgspec.Raw, namespace: str | None, at: str) -> bytes:
        """Return the JSON of the name of the tool of an earlier call. Raises `RequestError`."""
        key = (bytes(name), namespace)
        known = self._called.get(key)
        if known is None:
            known = self._called[key] = self._tool_of_call(text_of(name, at), namespace, at)
        return known

    def _tool_of_call(self, name: str, namespace: str | None, at: str) -> bytes:
        """Some clients leave out the namespace."""
        alike = self._alike.get(name, [])
        lone = not namespace and (None, name) not in self._names and len(alike) == 1
        made = alike[0] if lone else self.name(name, namespace)
        return tool_name(_json(made), at)

    def clients(self) -> dict[str, ClientTool]:
        """Return how the client calls its tools, by their names in the Messages request, where that differs."""
        return {
            made: ClientTool(key[1], key[0], self._kinds.get(key, "function"))
            for key, made in self._names.items()
            if made != key[1] or key in self._kinds
        }

    def choice(self, value: msgspec.Raw) -> Choice:
        """Read `tool_choice`. Raises `RequestError`."""
        at = "tool_choice"
        asked = read(_choice, value, at)
        if asked is None or isinstance(asked, str):
            return self._mode(asked or "auto")
        if asked.type in _WORDS and asked.name is None:  # as Cursor writes them
            return self._mode(_WORDS[asked.type])
        if asked.type != "allowed_tools":
            return Choice("tool", self._chosen(asked, at))
        listed = list(read_items(_allowed, asked.tools, f"{at}.tools"))
        only = {each for place, tool in listed for each in self._allowed(tool, place)}
        if asked.mode == "required" and not only:
            raise _unsupported("none of the tools that may be called runs here", f"{at}.tools")
        return Choice("any" if asked.mode == "required" else "auto", only=only)

    def _mode(self, mode: str) -> Choice:
        if mode != "required":
            return Choice("none") if mode == "none" else Choice()
        if not self.tools:
            words = "Tool choice 'required' must be specified with 'tools' that run here."
            raise RequestError(words, "tool_choice", "invalid_value")
        return Choice("any")

    def _allowed(self, tool: _Chosen, at: str) -> Iterator[bytes]:
        if not HOSTED.fullmatch(tool.type):
            yield self._chosen(tool, at)

    def _chosen(self, tool: _Chosen, at: str) -> bytes:
        """Return the JSON of the name of a tool that must or may be called."""
        tool.name = tool.function.name if tool.function else tool.name
        if tool.name is None and tool.type in (LOCAL_SHELL, TOOL_SEARCH):
            tool.name = tool.type
        elif HOSTED.fullmatch(tool.type):
            raise _unsupported(f"{tool.type} does not run here", at)
        elif tool.type not in ("function", "custom", "namespace"):
            raise RequestError(f"Invalid '{at}.type': {tool.type!r}", f"{at}.type", "invalid_value")
        if tool.name is None:
            path = f"{at}.name"
            raise RequestError(
                f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
            )
        for made in self._candidates(tool.name, tool.namespace):
            if (name := msgspec.json.encode(made)) in self.tools:
                return name
        raise RequestError(
            f"Tool choice {tool.name!r} not found in 'tools' parameter.", at, "invalid_value"
        )

    def _candidates(self, name: str, namespace: str | None) -> Iterable[str]:
        """Yield the names in the Messages request of tools of this name; without a namespace, of any one."""
        space = _named(namespace)
        if made := self._names.get((space, name)):
            yield made
        if space is None:
            yield from self._alike.get(name, ())

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
        words = _words(space.description, f"{at}.description")
        for place, tool in read_items(_tools, space.tools, f"{at}.tools"):
            if words:
                own = _words(tool.description, f"{place}.description")
                tool.description = _json(f"{words}\n\n{own}".strip())
                words = ""
            self._add(tool, place, name)

    def _function(self, tool: _Tool, at: str, namespace: str | None) -> None:
        given: _Tool | _Function = tool
        if tool.function != NULL:
            at = f"{at}.function"
            given = read(_function, tool.function, at)
        name = self._declared(given.name, f"{at}.name", namespace)
        strict = given.strict is True
        if self._is_new(name):
            self.tools.function(name, given.description, given.parameters, strict=strict, at=at)

    def _custom(self, tool: _Tool, at: str, namespace: str | None) -> None:
        name = self._declared(tool.name, f"{at}.name", namespace)
        if not self._is_new(name):
            return
        self.tools.custom(name, tool.description, tool.format, at=at)
        self._kinds[_named(namespace), text_of(tool.name, f"{at}.name")] = "custom"

    def _own(self, kind: ToolKind, description: msgspec.Raw, schema: msgspec.Raw, at: str) -> None:
        name = _json(self.name(kind))
        if self._is_new(name):
            self.tools.function(name, description, schema, strict=False, at=at)
        self._kinds[None, kind] = kind

    def _is_new(self, name: msgspec.Raw) -> bool:
        """Tell whether a tool is added, and make room for it."""
        raw = bytes(name)
        self._added.append(raw)
        if self.of_request:
            self._lasting.add(raw)
        elif raw in self._lasting:
            return False
        else:
            self.tools.remove(raw)
        return True

    def _declared(self, name: msgspec.Raw, at: str, namespace: str | None) -> msgspec.Raw:
        """Return the JSON of a tool's name in the Messages request."""
        given = text_of(name, at)
        if _named(namespace) is None and not _PLAIN.fullmatch(given):
            return name  # and that is refused
        return _json(self.name(given, namespace))


def _named(namespace: str | None) -> str | None:
    return None if namespace in (None, "", _DEFAULT_SPACE) else namespace


def _joined(namespace: str | None, name: str) -> str:
    if namespace is None and _PLAIN.fullmatch(name):
        return name
    joined = f"{namespace.removesuffix('__')}__{name}" if namespace else name
    plain = _OTHERS.sub("_", joined)
    return plain if len(plain) <= _LONGEST_NAME else _shortened(plain, f"{namespace} {name}")


def _shortened(name: str, seed: str) -> str:
    digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[: _LONGEST_NAME - 9]}_{digest}"


def _words(description: msgspec.Raw, at: str) -> str:
    return "" if description == NULL else text_of(description, at)


def _json(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))


def _unsupported(words: str, at: str) -> RequestError:
    return RequestError(f"Unsupported value: '{at}': {words}", at, UNSUPPORTED)
