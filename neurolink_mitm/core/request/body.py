"""The index of a Messages request's body: what it asks for, whether its history is good, and where its members are.

A body of Claude Code has 115 KB and more, and each request is looked at by many: route, history sanitizer, model
mapping and each step of shaping. So it is read once, in one pass of msgspec, and the index serves all of them. The
spans of the members are read when something is first edited, and follow each edit from then on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.request import history
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.conversation import Conversation, read_conversation
from neurolink_mitm.core.request.json_spans import Edit, Part, Span

LONGEST_MODEL = 256
LONGEST_USER_ID = 4096
"""Bytes of `metadata.user_id`: no known client makes a longer one, and Anthropic takes less."""
LONGEST_SESSION = 256
"""Characters of a session's name: it is a key of tables, and stands in log rows."""
_FEW_BYTES, _FEW_OBJECTS = 1 << 17, 40_000
"""A body with no more bytes, or with no more objects, is read within some milliseconds."""
_COUNTED = 1 << 18
"""Bytes of tools up to which they are counted one by one, where the body is not read in one pass."""
_NULL = msgspec.Raw(b"null")
_LEGACY = re.compile(r"_session_([0-9a-fA-F-]{8,64})$")


@dataclass(frozen=True, slots=True)
class MessagesRequest:
    """What the client asks for in a body of `/v1/messages` or `/v1/messages/count_tokens`."""

    model: str
    stream: bool
    tool_count: int
    session_id: str | None
    user_id: str | None = None
    """`metadata.user_id`, as the client sent it."""
    index: BodyIndex | None = field(default=None, compare=False, repr=False)


class BodyIndex:
    """One body: whether Anthropic accepts its history, and the spans of its members. Each is read once, at first use.

    The index of the client's body lives as long as the request, and has the latest edited one, so that the steps of an
    attempt need not read that again.
    """

    __slots__ = ("_acceptable", "_latest", "_members", "body")

    def __init__(self, body: bytes, *, acceptable: bool | None = None) -> None:
        self.body = body
        self._acceptable = acceptable
        self._members: Sequence[Part] | None = None
        self._latest: BodyIndex | None = None

    def of(self, body: bytes) -> BodyIndex:
        """Return the index of `body`: this one, the latest edited one, or a new one where `body` is any other."""
        if body == self.body:
            return self
        if self._latest is None or body != self._latest.body:
            self._latest = BodyIndex(body)
        return self._latest

    def follow(self, index: BodyIndex) -> None:
        """Remember the index of the edited body."""
        self._latest = None if index is self else index

    def edited(self, edits: Iterable[Edit]) -> BodyIndex:
        """Return the index of the body with `edits` made; the same one if there are none."""
        edits = list(edits)
        if not edits:
            return self
        index = BodyIndex(spans.apply(self.body, edits))
        index._members = None if self._members is None else spans.moved(self._members, edits)
        return index

    @property
    def is_judged(self) -> bool:
        """Whether the history has been read: of a long body it is not, until it is known who gets it."""
        return self._acceptable is not None

    @property
    def acceptable(self) -> bool:
        """Whether Anthropic accepts the history as it is; true of what is no conversation, too."""
        if self._acceptable is None:
            try:
                self._acceptable = read_conversation(self.body).acceptable
            except ValueError:
                self._acceptable = True
        return self._acceptable

    @property
    def members(self) -> Sequence[Part]:
        """The members of the request. Raises `ValueError` where a name occurs twice, or it is no JSON."""
        if self._members is None:
            self._members = spans.parts(self.body, spans.root(self.body))
        return self._members

    @property
    def takes_long(self) -> bool:
        """Whether what has not been read yet is too long for the event loop."""
        return self._members is None and takes_long(self.body)

    def member(self, name: str) -> Span | None:
        """Return the span of the value of a member, if there is one. Raises `ValueError`."""
        return spans.named(self.members, name)

    def add(self, name: str, value: bytes) -> Edit:
        """Return the edit that adds a member. Raises `ValueError`."""
        text = b'"%s":%s' % (name.encode(), value)
        return spans.added(spans.root(self.body), self.members, text)

    def sanitized(self, refused: Collection[str] = ()) -> BodyIndex:
        """Return the body as Anthropic accepts it (`history.foreign_edits`). Raises `ValueError`."""
        if self.acceptable and not refused:
            return self
        return self.edited(history.foreign_edits(self.body, self.members, refused))

    def without_thinking(self) -> BodyIndex:
        """Return the body without any thinking (`history.thinking_edits`). Raises `ValueError`."""
        return self.edited(history.thinking_edits(self.body, self.members))


# Reading a body


class _Metadata(msgspec.Struct, gc=False):
    user_id: msgspec.Raw = _NULL


class _Tool(msgspec.Struct, gc=False):
    """Tools are only counted."""


class _Whole(Conversation, gc=False, kw_only=True):
    """All that is read of a body, in one pass."""

    model: str
    stream: bool | None = None
    tools: list[_Tool] | None = None
    metadata: _Metadata | None = None


class _Outline(msgspec.Struct, gc=False):
    """The same of a body that is long or odd: nothing is made of the items of its lists."""

    model: str
    messages: msgspec.Raw
    stream: bool | None = None
    tools: msgspec.Raw = _NULL
    metadata: _Metadata | None = None


_whole = msgspec.json.Decoder(_Whole)
_outline = msgspec.json.Decoder(_Outline)
_tools = msgspec.json.Decoder(list[msgspec.Raw])


def takes_long(body: bytes) -> bool:
    """Tell whether reading `body` takes too long for the event loop: more than some milliseconds."""
    if len(body) <= _FEW_BYTES:
        return False
    return len(body) > spans.LARGE or body.count(b"{") > _FEW_OBJECTS


def read_body(body: bytes) -> MessagesRequest:
    """Read what a Messages request asks for, with its index.

    Raises `ValueError` for what is not JSON, or lacks a member; the text is fit for the client.
    """
    if len(body) <= spans.LARGE:
        try:
            whole = _whole.decode(body)
        except UNREADABLE:
            pass  # odd, or no request at all: the outline tells
        else:
            index = BodyIndex(body, acceptable=whole.acceptable)
            return _request(whole, len(whole.tools or ()), index)
    try:
        outline = _outline.decode(body)
    except UNREADABLE as e:
        raise ValueError(_explain(e)) from e
    _expect_list("messages", outline.messages)
    return _request(outline, _count(outline.tools), BodyIndex(body))


def _request(seen: _Whole | _Outline, tool_count: int, index: BodyIndex) -> MessagesRequest:
    if len(seen.model) > LONGEST_MODEL:
        raise ValueError(f"model: longer than {LONGEST_MODEL} characters")
    user_id = _user_id(seen.metadata)
    return MessagesRequest(
        model=seen.model,
        stream=bool(seen.stream),
        tool_count=tool_count,
        session_id=session_in_user_id(user_id),
        user_id=user_id,
        index=index,
    )


def _user_id(metadata: _Metadata | None) -> str | None:
    """Return None for one that is too long. Raises `ValueError`."""
    raw = metadata.user_id if metadata else _NULL
    if len(memoryview(raw)) > LONGEST_USER_ID:
        return None
    try:
        return msgspec.json.decode(raw, type=str | None)
    except msgspec.ValidationError as e:
        raise ValueError(f"{e} - at `metadata.user_id`") from e
    except UNREADABLE as e:
        raise ValueError(_explain(e)) from e


def _count(tools: msgspec.Raw) -> int:
    """Count the tools; where there are very many, those with a schema."""
    if _kind(tools) == "null":
        return 0
    _expect_list("tools", tools)
    if len(memoryview(tools)) <= _COUNTED:
        return len(_tools.decode(tools))
    return bytes(tools).count(b'"input_schema"')


def _expect_list(name: str, raw: msgspec.Raw) -> None:
    if _kind(raw) != "array":
        raise ValueError(f"Expected `array`, got `{_kind(raw)}` - at `{name}`")


def _kind(raw: msgspec.Raw) -> str:
    return _KINDS.get(chr(memoryview(raw)[0]), "number")


_KINDS = {"[": "array", "{": "object", '"': "str", "n": "null", "t": "bool", "f": "bool"}


def _explain(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return str(error).replace(" - at `$.", " - at `").replace("Object missing", "missing")
    if isinstance(error, RecursionError):
        return "the body is nested too deeply"
    return f"the body is not valid JSON: {error}"


# The session


class _UserId(msgspec.Struct):
    session_id: str | None = None


def session_in_user_id(user_id: str | None) -> str | None:
    """Return the session that Claude Code names in `metadata.user_id`.

    Two forms are in use: `user_<device>_account_<uuid>_session_<uuid>`, and a JSON object in a string.
    """
    if not user_id:
        return None
    if user_id.startswith("{"):
        try:
            session = msgspec.json.decode(user_id, type=_UserId).session_id
        except UNREADABLE:
            return None
        return session[:LONGEST_SESSION] if session else None
    match = _LEGACY.search(user_id)
    return match.group(1) if match else None
