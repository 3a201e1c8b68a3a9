"""What becomes of an entry that a home and Redis both have: a three-way comparison with what was last in step.

An entry is a login, a client key, a pause or a mark. Its content is JSON in one form (`canonical`); None: it was
removed. Its generation grows by one with each change that reaches Redis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from neurolink_mitm.core.auth.credentials import GAVE_UP, NEEDS_LOGIN, ends_at
from neurolink_mitm.core.json_errors import UNREADABLE

MOST_GENERATIONS = 2**53
"""Generations beyond are not taken: nobody makes so many changes, and numbers stay exact everywhere."""

OLDER = 3600.0
"""Seconds by which a token ends earlier that was there before a refresh."""

MOST_SPENT = 8
"""Tokens before the present ones that are remembered."""

Content = bytes | None


@dataclass(frozen=True, slots=True)
class Synced:
    """What this home last had in common with Redis."""

    generation: int
    digest: str
    """Of the content; empty if it was removed."""
    login: str = ""
    """Which login it was, of entries that are logins: refreshes keep it."""
    tokens: str = ""
    """Digest of its tokens."""
    changed_at: float = 0.0
    """When that was made, by Redis' clock."""
    spent: tuple[str, ...] = ()
    """Digests of the tokens that refreshes have replaced, the last first. Times can't tell: a clock may be wrong."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What Redis has."""

    generation: int
    changed_at: float
    """Seconds since the epoch by Redis' clock."""
    content: Content
    spent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do so that home and Redis have the same."""

    content: Content
    """What both have then."""
    generation: int
    changed_at: float
    pull: bool = False
    """Write it to the home."""
    push: bool = False
    """Write it to Redis."""
    spent: tuple[str, ...] = ()


Newer = Callable[[Content, Remote, Synced | None, float], Content]
"""Returns what becomes of two changes.

Its arguments: the content here, what Redis has, the last common state, when it changed here.
"""


def decide(
    local: Content, remote: Remote | None, synced: Synced | None, changed_at: float, newer: Newer
) -> Decision | None:
    """Return what to do; None if there never was such an entry. `changed_at` is by Redis' clock."""
    decision = _decided(local, remote, synced, changed_at, newer)
    return decision and replace(decision, spent=spent_by(decision.content, remote, synced))


def _decided(
    local: Content, remote: Remote | None, synced: Synced | None, changed_at: float, newer: Newer
) -> Decision | None:
    here = local is not None if synced is None else digest(local) != synced.digest
    if remote is None or (synced and remote.generation < synced.generation):
        return _written_back(local, synced, changed_at, here=here)
    theirs = Decision(remote.content, remote.generation, remote.changed_at)
    if local == remote.content:
        return theirs
    if not here and not _went_back(local, remote, synced):
        return replace(theirs, pull=True)
    ours = Decision(local, remote.generation + 1, changed_at, push=True)
    common = synced and (synced.generation, synced.digest)
    if common == (remote.generation, digest(remote.content)) and not _is_spent(local, remote):
        return ours
    merged = newer(local, remote, synced, changed_at)
    if merged == remote.content:
        return replace(theirs, pull=True)
    return replace(ours, content=merged, pull=merged != local)


def _written_back(
    local: Content, synced: Synced | None, changed_at: float, *, here: bool
) -> Decision | None:
    """Redis has lost the entry, or never had it."""
    if synced is None:
        return None if local is None else Decision(local, 1, changed_at, push=True)
    at = changed_at if here else synced.changed_at
    return Decision(local, synced.generation + here, at, push=True)


def spent_by(content: Content, remote: Remote | None, synced: Synced | None) -> tuple[str, ...]:
    """Return the digests of the tokens that those of `content` have come after, by refreshes."""
    tokens = tokens_of(content)
    if not tokens:
        return ()
    if remote and tokens == tokens_of(remote.content):
        return remote.spent
    return _spent_here(tokens, synced) if synced else ()


def _spent_here(tokens: str, synced: Synced) -> tuple[str, ...]:
    refreshed = tokens != synced.tokens != ""
    spent = (synced.tokens, *synced.spent) if refreshed else synced.spent
    return tuple(each for each in spent if each != tokens)[:MOST_SPENT]


def in_step(decision: Decision) -> Synced:
    """Return the common state after `decision`."""
    content = decision.content
    return Synced(
        decision.generation,
        digest(content),
        login_of(content),
        tokens_of(content),
        decision.changed_at,
        decision.spent,
    )


def newest(local: Content, remote: Remote, synced: Synced | None, changed_at: float) -> Content:
    """Let the later change win."""
    return local if changed_at > remote.changed_at else remote.content


def agreed(local: Content, remote: Remote, synced: Synced | None, changed_at: float) -> Content:
    """Let the later change win; a home that is new to the cluster has changed nothing."""
    return newest(local, remote, synced, changed_at) if synced else remote.content


def newest_client(
    local: Content, remote: Remote, synced: Synced | None, changed_at: float
) -> Content:
    """Let the later change win; of a home that is new to the cluster, a key that was made later."""
    if synced is None:
        made = _number(local, "createdAt") / 1000
        theirs = (
            remote.changed_at
            if remote.content is None
            else _number(remote.content, "createdAt") / 1000
        )
        return local if made > theirs else remote.content
    return newest(local, remote, synced, changed_at)


def newest_login(
    local: Content, remote: Remote, synced: Synced | None, changed_at: float
) -> Content:
    """Return what becomes of two changes of a login.

    1. A new login wins over anything that became of the one before it; of two, the later.
    2. A removal wins over refreshes and marks.
    3. Tokens win over those that they have come after.
       Of two refreshes, the one whose token lasts longer: the other's refresh token is spent. So of one, where it is an
       hour and more: Redis was filled by a home that has missed refreshes.
    4. A mark that its owner has made stays; counted failures belong to the tokens they were made with.
    """
    theirs = remote.content
    if synced is None:
        return _first_contact(local, remote)
    new_here, new_there = (login_of(each) not in ("", synced.login) for each in (local, theirs))
    if new_here != new_there:
        return local if new_here else theirs
    if new_here:
        return newest(local, remote, synced, changed_at)
    if local is None or theirs is None:
        return None
    refreshed_here, refreshed_there = (tokens_of(each) != synced.tokens for each in (local, theirs))
    came_after = _comes_after(local, remote, synced)
    if came_after is not None:
        ours_last = came_after
    elif (
        _goes_back(local, theirs)
        or _goes_back(theirs, local)
        or (refreshed_here and refreshed_there)
    ):
        ours_last = _ends(local) > _ends(theirs)
    elif refreshed_here or refreshed_there:
        ours_last = refreshed_here
    else:
        return newest(local, remote, synced, changed_at)
    return _with_mark(local, theirs) if ours_last else _with_mark(theirs, local)


def _first_contact(local: Content, remote: Remote) -> Content:
    """A home that is new to the cluster may hold a copy of long ago: its login counts if it lasts longer."""
    theirs = remote.content
    if theirs is None:
        return local if _number(local, "lastAccessed") / 1000 > remote.changed_at else None
    if _is_spent(local, remote):
        return theirs
    ours, others = ((_ends(each), _number(each, "lastAccessed")) for each in (local, theirs))
    return local if tokens_of(local) != tokens_of(theirs) and ours > others else theirs


def _comes_after(local: Content, remote: Remote, synced: Synced | None) -> bool | None:
    """Return whether the tokens here have come after those in Redis; None where that is not known."""
    if _is_spent(local, remote):
        return False
    spent = _spent_here(tokens_of(local), synced) if synced else ()
    return True if tokens_of(remote.content) in spent else None


def _is_spent(local: Content, remote: Remote) -> bool:
    """Return whether the tokens here were replaced by a refresh elsewhere: a file was put back, say."""
    return tokens_of(local) in remote.spent


def _went_back(local: Content, remote: Remote, synced: Synced | None) -> bool:
    """Return whether Redis has older tokens of the same login than this home, which has changed nothing."""
    if login_of(local) != login_of(remote.content):
        return False
    came_after = _comes_after(local, remote, synced)
    return _goes_back(local, remote.content) if came_after is None else came_after


def _goes_back(before: Content, after: Content) -> bool:
    """Return whether `after` has older tokens of the same login than `before`. Clocks may differ by minutes."""
    same = login_of(before) == login_of(after) != "" and tokens_of(before) != tokens_of(after)
    return same and _ends(before) - _ends(after) > OLDER


def _with_mark(content: bytes, other: bytes) -> bytes:
    mark, fields = _fields(other).get("disabled"), _fields(content)
    if mark is None or "disabled" in fields or not _by_hand(mark):
        return content
    return canonical(msgspec.json.encode(fields | {"disabled": mark}))


def _by_hand(mark: object) -> bool:
    reason = str(mark.get("reason", "")) if isinstance(mark, dict) else ""
    return not reason.startswith(NEEDS_LOGIN) and GAVE_UP not in reason


def login_of(content: Content) -> str:
    """Return which login an entry is of; empty where it is none. Refreshes keep it, a new login has another."""
    fields = _fields(content)
    if "tokens" not in fields:
        return ""
    return f"{fields.get('createdAt')}/{fields.get('lastAccessed')}"


def is_other_account(local: Content, remote: Content) -> bool:
    """Return whether two logins of one label tell of two accounts: then neither may replace the other."""
    ours, theirs = _fields(local), _fields(remote)
    if "tokens" not in ours or "tokens" not in theirs:
        return False
    if ours.get("type") != theirs.get("type"):
        return True
    if ours.get("type") == "api_key":
        return _part(ours, "tokens", "accessToken") != _part(theirs, "tokens", "accessToken")
    known = [
        [_part(each, "account", name) for each in (ours, theirs)]
        for name in ("uuid", "organizationUuid")
    ]
    return any(mine != other for mine, other in known if mine and other)


def _part(fields: Mapping[str, Any], *path: str) -> object:
    value: object = fields
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def tokens_of(content: Content) -> str:
    """Return the digest of an entry's tokens; empty where it has none."""
    tokens = _fields(content).get("tokens")
    return "" if tokens is None else digest(msgspec.json.encode(tokens, order="deterministic"))


def canonical(content: bytes) -> bytes:
    """Return JSON in the one form that is compared. Raises `ValueError`."""
    try:
        return msgspec.json.encode(msgspec.json.decode(content), order="deterministic")
    except UNREADABLE as e:
        raise ValueError("not JSON") from e


def digest(content: Content) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _fields(content: Content) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content or b"{}", type=dict[str, Any])
    except UNREADABLE:
        return {}


def _number(content: Content, name: str) -> float:
    value = _fields(content).get(name)
    return float(value) if isinstance(value, int | float) and abs(value) < 1e18 else 0.0


def _ends(content: Content) -> float:
    tokens = _fields(content).get("tokens")
    try:
        return ends_at(tokens["expiresAt"], "expiresAt") or 0.0  # type: ignore[index]
    except (ValueError, TypeError, KeyError):
        return 0.0
