"""Tools and the choice among them, as Anthropic takes them.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from neurolink_mitm.core.openai.cache import marked
from neurolink_mitm.core.openai.claude import ClaudeTraits
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.reading import kind_of, read, string
from neurolink_mitm.core.openai.structured import Narrowing
from neurolink_mitm.core.openai.turns import tool_name

_MOST_STRICT = 20
"""Strict tools in one request."""
_IS_OBJECT = re.compile(rb'\s*\{\s*"type"\s*:\s*"object"\s*[,}]')
_ANY_OBJECT = b'{"type":"object","properties":{}}'
_TEXT_INPUT = (
    b'{"type":"object","properties":{"input":{"type":"string"}},'
    b'"required":["input"],"additionalProperties":false}'
)
_COMBINED = ("oneOf", "anyOf", "allOf")


class _Syntax(msgspec.Struct, gc=False):
    syntax: str = ""
    definition: str = ""


class _TextFormat(msgspec.Struct, gc=False):
    """The format of a custom tool's input: a grammar stands in `grammar` (chat) or beside `type` (responses)."""

    type: str = "text"
    syntax: str = ""
    definition: str = ""
    grammar: _Syntax | None = None


_text_format = msgspec.json.Decoder(_TextFormat | None)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which tools may be called: all if `only` is None. `name` is the JSON of the one that must be."""

    kind: Literal["auto", "any", "tool", "none"] = "auto"
    name: bytes = b""
    only: Collection[bytes] | None = None

    @property
    def forces(self) -> bool:
        """Whether a call must come."""
        return self.kind in ("any", "tool")


@dataclass(slots=True)
class Tools:
    """Collects the tools of a request."""

    traits: ClaudeTraits
    customs: set[str] = field(default_factory=set)
    """The names of tools whose input is a plain text, not JSON."""
    narrowing: Narrowing = field(default_factory=Narrowing)
    _tools: dict[bytes, bytes] = field(default_factory=dict)
    _strict: int = 0
    _joined: bytes = b""
    """All tools, once they were asked for."""

    def function(
        self,
        name: msgspec.Raw,
        description: msgspec.Raw,
        schema: msgspec.Raw,
        *,
        strict: bool,
        at: str,
    ) -> None:
        """Add a tool. Raises `RequestError`."""
        parameters = bytes(schema)
        input_schema = parameters
        if b'Of"' in parameters or not _IS_OBJECT.match(parameters):
            input_schema = _input_schema(parameters, f"{at}.parameters")
        end = b""
        if strict and self.traits.strict_tools and self._strict < _MOST_STRICT:
            narrowed = self.narrowing.of(input_schema)
            if narrowed is not None:
                self._strict += 1
                input_schema, end = msgspec.json.encode(narrowed), b',"strict":true'
        self._add(name, _description(description, at), input_schema, end, at)

    def custom(
        self, name: msgspec.Raw, description: msgspec.Raw, text_format: msgspec.Raw, *, at: str
    ) -> None:
        """Add a tool whose input is a plain text. The grammar of the text is told in the description."""
        grammar = _grammar(text_format, f"{at}.format")
        words = bytes(description)
        if grammar:
            text = msgspec.json.decode(words) if _description(description, at) else ""
            words = msgspec.json.encode(f"{text}\n\n{grammar}".strip())
        self._add(name, _description(msgspec.Raw(words), at), _TEXT_INPUT, b"", at)
        self.customs.add(msgspec.json.decode(bytes(name)))

    def copy(self) -> Tools:
        """Return the same tools, to which others can be added."""
        return replace(
            self,
            customs=set(self.customs),
            narrowing=replace(self.narrowing),
            _tools=dict(self._tools),
        )

    def called(self, names: Iterable[bytes]) -> None:
        """Add tools that the history names: Anthropic refuses calls in a request without any tools."""
        self._joined = b""
        for name in names:
            self._tools[name] = b'{"name":%b,"input_schema":%b}' % (name, _ANY_OBJECT)

    def remove(self, name: bytes) -> None:
        """Remove a tool by the JSON of its name, if there is one."""
        self._joined = b""
        self._tools.pop(name, None)

    def written(self, choice: Choice) -> list[bytes]:
        """Return the tools that may be called."""
        if choice.only is None:
            return list(self._tools.values())
        return [tool for name, tool in self._tools.items() if name in choice.only]

    def joined(self, choice: Choice) -> bytes:
        """Return the JSON of the tools that may be called, with commas between them, marked for the cache."""
        if choice.only is not None:
            return b",".join(marked(self.written(choice)))
        if not self._joined:
            self._joined = b",".join(marked(self.written(choice)))
        return self._joined

    def __contains__(self, name: bytes) -> bool:
        return name in self._tools

    def __bool__(self) -> bool:
        return bool(self._tools)

    def _add(
        self, name: msgspec.Raw, description: bytes, schema: bytes, end: bytes, at: str
    ) -> None:
        self._joined = b""
        at = f"{at}.name"
        checked = tool_name(name, at)
        tool = b'{"name":%b%b,"input_schema":%b%b}' % (checked, description, schema, end)
        if self._tools.setdefault(checked, tool) != tool:
            raise RequestError(
                f"Invalid '{at}': two tools have the name {checked.decode()}", at, "invalid_value"
            )


def _grammar(text_format: msgspec.Raw, at: str) -> str:
    form = read(_text_format, text_format, at)
    if form is None or form.type == "text":
        return ""
    grammar = form.grammar or form
    return f"The input follows this grammar ({grammar.syntax}):\n{grammar.definition}"


def _description(description: msgspec.Raw, at: str) -> bytes:
    words = bytes(description)
    if not words.startswith(b'"'):
        return b"" if words == b"null" else string(description, f"{at}.description")
    return b',"description":%b' % words if words != b'""' else b""


def _input_schema(schema: bytes, at: str) -> bytes:
    """Return a schema whose type is object, and that has no alternatives at the top: Anthropic refuses others."""
    if schema == b"null":
        return _ANY_OBJECT
    if not schema.startswith(b"{"):
        message = f"Invalid type for '{at}': expected an object, got {kind_of(schema)}"
        raise RequestError(message, at, "invalid_type")
    members = _members.decode(schema)
    odd = {name: _any.decode(members[name]) for name in _COMBINED if name in members}
    if not odd and bytes(members.get("type", b"")) == b'"object"':
        return schema
    rest = {name: value for name, value in members.items() if name not in odd}
    words = msgspec.json.encode(odd).decode() if odd else ""
    made: dict[str, Any] = {
        "type": "object",
        **rest,
        **({"description": _with_words(rest, words)} if odd else {}),
    }
    return msgspec.json.encode({**made, "type": "object"})


def _with_words(members: dict[str, msgspec.Raw], words: str) -> str:
    """Return the description in `members`, followed by the part of the schema in `words`."""
    description = bytes(members.get("description", b"null"))
    text = _any.decode(description) if description.startswith(b'"') else ""
    return f"{text}\n\nIt also follows this JSON Schema: {words}".strip()
