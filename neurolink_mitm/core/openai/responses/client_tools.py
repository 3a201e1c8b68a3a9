"""The client's tools, as far as the items of their calls need them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ToolKind = Literal["function", "custom", "local_shell", "tool_search"]
"""Decides the type of the output item of a call. A custom tool takes text instead of JSON."""


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool as the client named it."""

    name: str
    namespace: str | None = None
    kind: ToolKind = "function"
