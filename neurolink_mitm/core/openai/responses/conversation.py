"""The conversation of a responses request, as its items add to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.openai.content import user_blocks
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.reading import NULL, missing
from neurolink_mitm.core.openai.responses.stored import LARGEST, Earlier
from neurolink_mitm.core.openai.responses.tools import ResponseTools
from neurolink_mitm.core.openai.turns import ASSISTANT, USER, Turns

REFERENCE = "item_reference"


class Item(msgspec.Struct, gc=False):
    """An input item: the members of all types."""

    type: str | None = None
    role: str | None = None
    id: str | None = None
    call_id: str | None = None
    status: str | None = None
    namespace: str | None = None
    server_label: str | None = None
    name: msgspec.Raw = NULL
    content: msgspec.Raw = NULL
    arguments: msgspec.Raw = NULL
    input: msgspec.Raw = NULL
    output: msgspec.Raw = NULL
    error: msgspec.Raw = NULL
    encrypted_content: msgspec.Raw = NULL
    action: msgspec.Raw = NULL
    operation: msgspec.Raw = NULL
    tools: msgspec.Raw = NULL
    queries: msgspec.Raw = NULL
    results: msgspec.Raw = NULL
    code: msgspec.Raw = NULL
    outputs: msgspec.Raw = NULL

    @property
    def kind(self) -> str:
        """Return the type; a message and a reference need not name it."""
        unnamed = "message" if self.role is not None else REFERENCE if self.id else ""
        return self.type or unnamed

    def call_of(self, at: str) -> str:
        """Return the id of its call. Raises `RequestError`."""
        given = self.call_id or self.id
        if not given:
            raise missing(f"{at}.call_id")
        return given


@dataclass(slots=True)
class Conversation:
    """Collects the turns of a conversation, and the tools that come with its items."""

    tools: ResponseTools
    earlier: Earlier
    turns: Turns = field(default_factory=Turns)
    left_out: dict[str, None] = field(default_factory=dict)
    """The types of items that are of no use here."""
    first: bytes = b""
    """What the user said first, as JSON."""
    refers: bool = False
    """Whether items were referred to by their ids."""
    _referred_bytes: int = 0
    _thinking: list[bytes] = field(default_factory=list)
    """Blocks that belong to what the assistant says next: Anthropic refuses them at the end of a turn."""

    def refer(self, item: msgspec.Raw, at: str) -> None:
        """Count an item that is referred to: a short request could become one without end. Raises `RequestError`."""
        self.refers = True
        self._referred_bytes += len(memoryview(item))
        if self._referred_bytes > LARGEST:
            words = f"Invalid '{at}': the items that are referred to have more than {LARGEST} bytes"
            raise RequestError(words, at, status=413)

    def user(self, content: msgspec.Raw, at: str) -> None:
        """Add words of the user."""
        self._thinking.clear()
        self.first = self.first or bytes(content)
        self.turns.say(USER, user_blocks(content, at))

    def assistant(self, blocks: Iterable[bytes]) -> None:
        """Add words of the assistant."""
        if blocks := list(blocks):
            self.turns.say(ASSISTANT, [*self._thinking, *blocks])
            self._thinking.clear()

    def think(self, block: bytes) -> None:
        """Add thinking of the assistant."""
        self._thinking.append(block)

    def call(self, item: Item, name: bytes, input_: bytes, at: str) -> None:
        """Add a call; `name` is the JSON of the tool's name in the Messages request."""
        if self._thinking:
            self.turns.say(ASSISTANT, self._thinking)
            self._thinking.clear()
        self.turns.call(item.call_of(at), name, input_)

    def call_of(self, item: Item, tool: str, input_: bytes, at: str) -> None:
        """Add a call of a tool whose calls are items of their own type."""
        self.call(item, msgspec.json.encode(self.tools.names.of(tool)), input_, at)

    def result(self, item: Item, blocks: Iterable[bytes], at: str, *, failed: bool = False) -> None:
        """Add the output of a call. Raises `RequestError` where there was none."""
        self.turns.result(item.call_of(at), blocks, f"{at}.call_id", failed=failed)
