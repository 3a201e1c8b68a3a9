"""The sandbox's accounts and their scripts of replies: plain values, also read from JSON."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

import msgspec

COUNTS = ("delay", "event_delay", "events", "cut_after", "stall_after", "error_after")
"""The fields of a `Reply` that must not be negative."""


@dataclass(frozen=True)
class Reply:
    """One step of a script. `Reply()` is a good response; each field changes one thing.

    Events are whole SSE events: a streamed text with n deltas has n + 6 of them (message_start, ping,
    content_block_start, the deltas, content_block_stop, message_delta, message_stop). A response that is not
    streamed can be cut, or stall, only in the middle of its body; its error is the status of the error type.
    """

    status: int = 200
    _: KW_ONLY
    # in place of Anthropic's with a status >= 400, or in the event of `error_after`
    error_type: str | None = None
    message: str | None = None
    # added to the usual ones, or in their place; an empty value removes one
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)

    delay: float = 0  # seconds before the head
    event_delay: float = 0  # seconds between two events
    events: int | None = None  # text deltas; default: as many as the text needs
    chunk_text: str | None = None  # text of each delta; default: their numbers

    hang_up: bool = False  # close the connection with no head
    cut_after: int | None = None  # close the connection after n events
    reset: bool = False  # hang_up and cut_after are a TCP reset
    # silence until the client leaves, after n events or "head"; 0: before the head
    stall_after: int | Literal["head"] | None = None
    empty: bool = False  # the head, and a clean end with no byte
    error_first: str | None = None  # the only event is an error of this type
    error_after: int | None = None  # n events, then an error event
    no_stop: bool = False  # a clean end with no message_stop

    html: bool = False  # Cloudflare's error page, with any status
    body: bytes | None = None  # the whole body (in JSON: a string)
    content_type: str | None = None

    # for benchmarks: the same bytes for every request, rendered once
    prerendered: bool = False
    coalesce: int = 1  # events per write; cuts, stalls and delays then count writes

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError(f"status: must be 200 to 599, got {self.status}")
        if self.coalesce < 1:
            raise ValueError(f"coalesce: must be at least 1, got {self.coalesce}")
        for name in COUNTS:
            value = getattr(self, name)
            if isinstance(value, (int, float)) and value < 0:
                raise ValueError(f"{name}: must not be negative, got {value}")


@dataclass(frozen=True)
class Script:
    """Replies, one per request; at the end the last one repeats, or with `loop` all of them."""

    steps: tuple[Reply, ...] = (Reply(),)
    loop: bool = False

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a script needs at least one step")

    def step(self, n: int) -> Reply:
        """Return the reply to request number `n`, from 0 on."""
        return self.steps[n % len(self.steps) if self.loop else min(n, len(self.steps) - 1)]


@dataclass(frozen=True)
class Account:
    """An account. `credential` is its API key, or its first access token.

    That token expires `expires_in` seconds after the sandbox was made.
    """

    name: str
    credential: str
    kind: Literal["api_key", "oauth"] = "api_key"
    refresh_token: str | None = None
    expires_in: float | None = None  # None: never
    script: Script = Script()
    lifetime: float = 28_800  # seconds, of access tokens from the token endpoint


def default_accounts() -> tuple[Account, ...]:
    """Return an account that is limited after two requests, one that works, and one whose token needs a refresh."""
    limited = Reply(429, headers={"retry-after": "5"})
    return (
        Account(
            "alpha", "sk-ant-test-alpha", script=Script((Reply(), Reply(), limited), loop=True)
        ),
        Account("beta", "sk-ant-test-beta"),
        Account(
            "gamma", "sk-ant-oat-test-gamma", "oauth", "sk-ant-ort-test-gamma", expires_in=3600
        ),
    )


def script_from_json(data: bytes) -> Script:
    """Read a list of replies, or `{"steps": […], "loop": true}`. Raises ValueError naming the field."""
    return _script(msgspec.json.decode(data))


def accounts_from_json(data: bytes) -> tuple[Account, ...]:
    """Read a list of accounts, `script` in either form. Raises ValueError naming the field."""
    return tuple(_account(data) for data in msgspec.json.decode(data, type=list[dict[str, Any]]))


def _account(data: dict[str, Any]) -> Account:
    plain = {key: value for key, value in data.items() if key != "script"}
    account = _build(Account, plain)
    return replace(account, script=_script(data["script"])) if "script" in data else account


def _script(data: object) -> Script:
    steps = msgspec.convert(data if isinstance(data, dict) else {"steps": data}, _Steps)
    return Script(tuple(_reply(step) for step in steps.steps), steps.loop)


def _reply(data: dict[str, Any]) -> Reply:
    body = data.get("body")
    return _build(Reply, {**data, "body": body.encode()} if isinstance(body, str) else data)


class _Steps(msgspec.Struct, forbid_unknown_fields=True):
    steps: list[dict[str, Any]]
    loop: bool = False


_T = TypeVar("_T", Reply, Account)


def _build(kind: type[_T], data: dict[str, Any]) -> _T:
    # msgspec ignores unknown fields of a dataclass, and a misspelt one would have no effect
    if unknown := data.keys() - {f.name for f in fields(kind)}:
        raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
    return msgspec.convert(data, kind, builtin_types=(bytes,))
