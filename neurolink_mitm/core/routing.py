"""Where a request belongs, read from its line and the few fields of its body that matter.

The body (115 KB in the mean) is scanned, not decoded: history and tools stay raw bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from neurolink_mitm.core import paths
from neurolink_mitm.core.exchange import Kind, Reply
from neurolink_mitm.core.paths import COUNT_TOKENS_PATH, MESSAGES_PATH
from neurolink_mitm.core.session import session_in_user_id
from neurolink_mitm.core.unreadable import UNREADABLE

METRICS_PATH = "/metrics"
RESET_PATH = "/admin/reset"
LONGEST_MODEL = 256
LONGEST_USER_ID = 4096
"""Bytes of `metadata.user_id`: of a longer one no client that we know has made it, and Anthropic takes less."""
_COUNTED = 1 << 18
"""Bytes of tools up to which they are counted one by one."""

_PAGES = ("/", "/health", "/status", METRICS_PATH, "/v1/models")
NOT_PLAIN = Reply(
    404,
    "not_found_error",
    "no such path: write it as the API has it, with single slashes, in small letters, and with no dot segments,"
    " backslashes, semicolons or needless escapes",
)
"""Of a path that servers read in different ways, or that an addon has turned into another kind's."""

LOCAL = frozenset(
    {*((method, path) for method in ("GET", "HEAD") for path in _PAGES), ("POST", RESET_PATH)}
)
OWN = frozenset({"/health", "/status", METRICS_PATH, RESET_PATH})
"""Paths that mean nothing anywhere else: whatever the method, they are not forwarded."""


def methods_of(path: str) -> tuple[str, ...]:
    """With which methods a path of our own is asked."""
    return tuple(sorted(method for method, known in LOCAL if known == path))


def kind_of(method: str, path: str) -> Kind:
    """The kind of a request by its method and target; the query does not count."""
    bare = path.partition("?")[0]
    if (method, bare) in LOCAL or bare in OWN:
        return Kind.LOCAL
    if method == "POST" and bare == MESSAGES_PATH:
        return Kind.MESSAGES
    if method == "POST" and bare == COUNT_TOKENS_PATH:
        return Kind.COUNT_TOKENS
    return Kind.API if bare.startswith("/v1/") else Kind.FORWARD


def is_as_taken(kind: Kind | None, method: str, path: str) -> bool:
    """Whether a request is still of the kind that it was taken for, and is for upstream, too."""
    return kind_of(method, path) is kind and paths.is_plain(kind, method, path)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a Messages request asks for."""

    model: str
    stream: bool
    tool_count: int
    session_id: str | None
    user_id: str | None = None
    """As `metadata` has it."""


_NULL = msgspec.Raw(b"null")


class _Metadata(msgspec.Struct):
    user_id: msgspec.Raw = _NULL


class _Body(msgspec.Struct):
    """Nothing is made of the lists' items: there may be millions."""

    model: str
    messages: msgspec.Raw
    stream: bool | None = None
    tools: msgspec.Raw = _NULL
    metadata: _Metadata | None = None


_decoder = msgspec.json.Decoder(_Body)
_tools = msgspec.json.Decoder(list[msgspec.Raw])


def read_body(body: bytes) -> Asked:
    """The fields of a Messages request that routing needs.

    Raises:
        ValueError: not JSON, or a field is missing or of the wrong type; the text is fit for the client.
    """
    try:
        seen = _decoder.decode(body)
        user_id = _user_id(seen.metadata)
    except UNREADABLE as e:
        raise ValueError(_explain(e)) from e
    if len(seen.model) > LONGEST_MODEL:
        raise ValueError(f"model: longer than {LONGEST_MODEL} characters")
    _expect_list("messages", seen.messages)
    return Asked(
        model=seen.model,
        stream=bool(seen.stream),
        tool_count=_count(seen.tools),
        session_id=session_in_user_id(user_id),
        user_id=user_id,
    )


def _user_id(metadata: _Metadata | None) -> str | None:
    """None of one that is too long to be any client's. Raises `ValueError`."""
    raw = metadata.user_id if metadata else _NULL
    if len(memoryview(raw)) > LONGEST_USER_ID:
        return None
    try:
        return msgspec.json.decode(raw, type=str | None)
    except msgspec.ValidationError as e:
        raise ValueError(f"{e} - at `metadata.user_id`") from e


def _count(tools: msgspec.Raw) -> int:
    """Of very many, those with a schema."""
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


def not_served(model: str, known: Sequence[str]) -> Reply:
    """Anthropic's 404, with what can be asked for."""
    listed = ", ".join(known)
    return Reply(
        404, "not_found_error", f"model: {model!r:.120} is not served here. Ask for: {listed}"
    )
