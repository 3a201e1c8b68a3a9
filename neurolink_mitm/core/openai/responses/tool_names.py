"""The names of a client's tools in a Messages request, and back.

A tool of a namespace gets a name with both. It is the same one in each request of a conversation, as far as the tools
are the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.openai.reading import text_of
from neurolink_mitm.core.openai.responses.client_tools import ClientTool, ToolKind
from neurolink_mitm.core.openai.turns import tool_name

_OTHERS = re.compile(r"[^a-zA-Z0-9_-]")
_PLAIN = re.compile(r"[a-zA-Z0-9_-]{1,128}")
"""A name that Anthropic takes."""
_LONGEST_NAME = 64
_DEFAULT_SPACE = "functions"
"""The namespace of what is in none: Codex takes calls of its tools without it."""
_Key = tuple[str | None, str]
"""Namespace and name."""


@dataclass(slots=True)
class ToolNames:
    """Names the tools of a request, in the order of their coming."""

    _names: dict[_Key, str] = field(default_factory=dict)
    _kinds: dict[_Key, ToolKind] = field(default_factory=dict)
    _taken: dict[str, _Key] = field(default_factory=dict)
    _alike: dict[str, list[str]] = field(default_factory=dict)
    """By the name that tools of several namespaces may have."""
    _called: dict[tuple[bytes, str | None], bytes] = field(default_factory=dict)
    """What `called` has returned."""

    def declared(self, name: msgspec.Raw, namespace: str | None, at: str) -> bytes:
        """Return the JSON of the name of a tool. Raises `RequestError` for one that Anthropic refuses."""
        text = text_of(name, at)
        self._called.clear()
        if _space(namespace) is None and not _PLAIN.fullmatch(text):
            return tool_name(name, at)
        return msgspec.json.encode(self.of(text, namespace))

    def called(self, name: msgspec.Raw, namespace: str | None, at: str) -> bytes:
        """Return the JSON of the name of the tool of an earlier call. Raises `RequestError`."""
        key = (bytes(name), namespace)
        made = self._called.get(key)
        if made is None:
            made = self._called[key] = self._of_call(text_of(name, at), namespace, at)
        return made

    def of(self, name: str, namespace: str | None = None) -> str:
        """Return the name that a tool has in the Messages request."""
        key = (_space(namespace), name)
        if key not in self._names:
            made = _joined(*key)
            if self._taken.get(made, key) != key:
                made = _shortened(made, f"{namespace} {name}")
            self._names[key] = made
            self._taken[made] = key
            self._alike.setdefault(name, []).append(made)
        return self._names[key]

    def candidates(self, name: str, namespace: str | None) -> Iterator[str]:
        """Yield the names in the Messages request of tools of this name; without a namespace, of any one."""
        space = _space(namespace)
        if made := self._names.get((space, name)):
            yield made
        if space is None:
            yield from self._alike.get(name, ())

    def is_of_kind(self, kind: ToolKind, name: str, namespace: str | None = None) -> None:
        """Remember the kind of a tool that is no function."""
        self._kinds[_space(namespace), name] = kind

    def clients(self) -> dict[str, ClientTool]:
        """Return how the client calls its tools, by their names in the Messages request, where that differs."""
        return {
            made: ClientTool(key[1], key[0], self._kinds.get(key, "function"))
            for key, made in self._names.items()
            if made != key[1] or key in self._kinds
        }

    def _of_call(self, name: str, namespace: str | None, at: str) -> bytes:
        """Some clients leave out the namespace."""
        alike = self._alike.get(name, [])
        lone = not namespace and (None, name) not in self._names and len(alike) == 1
        made = alike[0] if lone else self.of(name, namespace)
        return tool_name(msgspec.Raw(msgspec.json.encode(made)), at)


def _space(namespace: str | None) -> str | None:
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
