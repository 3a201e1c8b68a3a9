"""The responses that a client may continue by `previous_response_id`: in memory alone, a day long, 64 MB in all.

Each turn has its own input and output, and the id of the turn before it, so that a long conversation is stored once. A
turn that is used moves behind all others, those before it in the conversation still further: what goes first is
therefore never in the middle of a conversation that stays. Clients see their own turns only.
https://platform.openai.com/docs/guides/conversation-state
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai.errors import RequestError

LARGEST = 64 << 20
"""Bytes of all turns."""
KEPT_SECONDS = 24 * 3600.0
"""Since a turn was last used."""
_TURN_BYTES, _ITEM_BYTES = 1024, 512
"""What a turn and each item of it take beside their JSON, roughly."""


def client_space(credential: str | None) -> str:
    """Return the name of the memory of a client; None is the one of all, where no client key is asked for."""
    if credential is None:
        return ""
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Pending:
    """What is kept of a request until its response is complete."""

    input: msgspec.Raw = field(repr=False)
    """The JSON of its `input`: a part of the body, which is copied when it is stored."""
    previous: str | None = None
    """Its `previous_response_id`."""


@dataclass(slots=True, eq=False)
class StoredTurn:
    """A response with the input that led to it."""

    id: str
    input: bytes = field(repr=False)
    response: bytes = field(repr=False)
    output: Sequence[msgspec.Raw] = field(repr=False)
    """The output items, inside of `response`."""
    items: Mapping[str, msgspec.Raw] = field(repr=False)
    """Those of them that have an id."""
    previous: str | None = None
    used_at: float = 0.0
    followers: int = 0
    """How many stored turns continue it."""
    deleted: bool = False
    """By its client; what continues it stays."""

    @property
    def size(self) -> int:
        return len(self.input) + len(self.response) + _TURN_BYTES + _ITEM_BYTES * len(self.output)


class Earlier(Protocol):
    """What one client may refer to."""

    def turns(self, response_id: str) -> Sequence[StoredTurn]:
        """Return the turns up to a response, in order. Raises `RequestError`: 404."""

    def item(self, item_id: str) -> msgspec.Raw | None:
        """Return an output item of a stored response."""


class _Id(msgspec.Struct, gc=False):
    id: object = None


class _Response(msgspec.Struct, gc=False):
    id: str
    output: list[msgspec.Raw]


_response = msgspec.json.Decoder(_Response)
_id = msgspec.json.Decoder(_Id)
_Key = tuple[str, str]
"""A client, and an id."""


def _turn(pending: Pending, response: bytes, now: float) -> StoredTurn:
    read = _response.decode(response)
    ids = [_id.decode(item).id for item in read.output]
    items = {id_: item for id_, item in zip(ids, read.output, strict=True) if isinstance(id_, str)}
    copied = bytes(pending.input)
    return StoredTurn(read.id, copied, response, read.output, items, pending.previous, now)


class Memory:
    """Stores the turns of all clients. It may be used by several threads."""

    def __init__(self, largest: int = LARGEST, seconds: float = KEPT_SECONDS) -> None:
        self._largest = largest
        self._seconds = seconds
        self._turns: OrderedDict[_Key, StoredTurn] = OrderedDict()
        self._items: dict[_Key, msgspec.Raw] = {}
        self._size = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def size(self) -> int:
        """Return the bytes of all turns."""
        return self._size

    def keep(self, client: str, pending: Pending, response: bytes, now: float) -> bool:
        """Store a response; return False where it is no response, too large, or continues one that is gone."""
        try:
            turn = _turn(pending, response, now)
        except UNREADABLE:
            return False
        key = (client, turn.id)
        with self._lock:
            self._expire(now)
            previous = self._turns.get((client, turn.previous)) if turn.previous else None
            if key in self._turns or (turn.previous and not previous) or turn.size > self._largest:
                return False
            if previous:
                previous.followers += 1
            self._add(client, turn)
            self._touch(client, turn, now)
            while self._size > self._largest:
                self._drop(next(iter(self._turns)))
            return key in self._turns

    def turns(self, client: str, response_id: str, now: float) -> Sequence[StoredTurn] | None:
        """Return the turns up to a response, in order, and count them as used; None where it is not stored."""
        with self._lock:
            turn = self._stored(client, response_id, now)
            return None if turn is None else self._touch(client, turn, now)

    def item(self, client: str, item_id: str, now: float) -> msgspec.Raw | None:
        """Return an output item of a stored response."""
        with self._lock:
            self._expire(now)
            return self._items.get((client, item_id))

    def turn(self, client: str, response_id: str, now: float) -> StoredTurn | None:
        """Return one turn, for reading."""
        with self._lock:
            return self._stored(client, response_id, now)

    def delete(self, client: str, response_id: str, now: float) -> bool:
        """Forget a response; its words stay as long as a response that continues it. Return whether it was stored."""
        with self._lock:
            turn = self._stored(client, response_id, now)
            if turn is None:
                return False
            turn.deleted = True
            self._forget_items(client, turn)
            if not turn.followers:
                self._drop((client, response_id))
            return True

    def of(self, client: str, now: float) -> Earlier:
        """Return what a client may refer to now."""
        return _Earlier(self, client, now)

    def _stored(self, client: str, response_id: str, now: float) -> StoredTurn | None:
        self._expire(now)
        turn = self._turns.get((client, response_id))
        return None if turn is None or turn.deleted else turn

    def _expire(self, now: float) -> None:
        while self._turns and next(iter(self._turns.values())).used_at + self._seconds <= now:
            self._drop(next(iter(self._turns)))

    def _add(self, client: str, turn: StoredTurn) -> None:
        self._turns[client, turn.id] = turn
        self._size += turn.size
        self._items.update({(client, id_): item for id_, item in turn.items.items()})

    def _touch(self, client: str, last: StoredTurn, now: float) -> Sequence[StoredTurn]:
        turns = [last]
        while (previous := turns[-1].previous) is not None:
            turns.append(self._turns[client, previous])
        for turn in turns:
            turn.used_at = now
            self._turns.move_to_end((client, turn.id))
        return turns[::-1]

    def _drop(self, key: _Key) -> None:
        client = key[0]
        gone: StoredTurn | None = self._turns[key]
        while gone:
            del self._turns[client, gone.id]
            self._size -= gone.size
            self._forget_items(client, gone)
            previous = self._turns.get((client, gone.previous)) if gone.previous else None
            if previous:
                previous.followers -= 1
            gone = previous if previous and previous.deleted and not previous.followers else None

    def _forget_items(self, client: str, turn: StoredTurn) -> None:
        for id_, item in turn.items.items():
            if self._items.get((client, id_)) is item:
                del self._items[client, id_]


@dataclass(frozen=True, slots=True)
class _Earlier:
    memory: Memory
    client: str
    now: float

    def turns(self, response_id: str) -> Sequence[StoredTurn]:
        turns = self.memory.turns(self.client, response_id, self.now)
        if turns is None:
            raise not_found(response_id)
        return turns

    def item(self, item_id: str) -> msgspec.Raw | None:
        return self.memory.item(self.client, item_id, self.now)


def not_found(response_id: str) -> RequestError:
    """Return the error for a `previous_response_id` that is not stored, or another client's."""
    message = (
        f"Previous response with id {response_id[:100]!r} not found: responses are kept in memory for a day, until the"
        " proxy restarts, if `store` is not false. Send the whole conversation in `input` instead."
    )
    return RequestError(message, "previous_response_id", "previous_response_not_found", 404)
