"""Rules for header fields: which ones the proxy sets, and which ones it must not forward.

Fields are pairs of bytes in the order of the wire, as in RFC 9110 section 5 and in mitmproxy's `Headers.fields`. Names
that a function takes are in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

Fields = tuple[tuple[bytes, bytes], ...]

HOP_BY_HOP = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"te", b"trailer", b"upgrade",
     b"proxy-authorization", b"proxy-authenticate", b"http2-settings"}
)  # fmt: skip
"""Fields of one connection, RFC 9110 section 7.6.1. `transfer-encoding` is not one of them: mitmproxy needs it."""

CREDENTIALS = frozenset({b"authorization", b"proxy-authorization", b"x-api-key", b"cookie"})
SENSITIVE = CREDENTIALS | {b"x-neurolink-admin"}
"""Fields whose values are masked for whoever looks at a flow."""
MASK = b"***"
"""The mask."""

OURS = b"x-neurolink-"
"""Beginning of the names of fields that are for NeuroLink; they are never sent upstream."""
_BEGINNING = slice(len(OURS))

OVERRIDES = frozenset(
    {b"x-original-url", b"x-rewrite-url", b"x-http-method-override", b"x-http-method",
     b"x-method-override"}
)  # fmt: skip
"""Fields that some servers obey instead of the request line, which is what the proxy has validated."""

API_VERSION = b"2023-06-01"
OAUTH_BETA = b"oauth-2025-04-20"


def get(fields: Fields, name: bytes) -> str | None:
    """Return the first value of `name`."""
    for key, value in fields:
        if key.lower() == name:
            return value.decode("latin-1")
    return None


def name_in(fields: Fields, name: bytes, longest: int = 256) -> str | None:
    """Return the first value of `name`, cut to `longest` characters: it is stored and logged."""
    value = get(fields, name)
    return value[:longest] if value else value


def names_in(fields: Fields, names: Collection[bytes], longest: int = 256) -> dict[bytes, str]:
    """Return the first value of each of `names` that there is, as `name_in` does, in one go."""
    return {
        name: value[:longest].decode("latin-1")
        for key, value in reversed(fields)
        if (name := key.lower()) in names
    }


def without(fields: Fields, names: Iterable[bytes]) -> Fields:
    """Return the fields without those called `names`."""
    drop = frozenset(names)
    return tuple(field for field in fields if field[0].lower() not in drop)


def without_ours(fields: Fields) -> Fields:
    """Return the fields without those for NeuroLink."""
    return tuple(field for field in fields if field[0][_BEGINNING].lower() != OURS)


def end_to_end(fields: Fields) -> Fields:
    """Return the fields without the hop-by-hop ones, those that `connection` names included."""
    named = b",".join(value for key, value in fields if key.lower() == b"connection")
    listed = {part.strip().lower() for part in named.split(b",")}
    return without(fields, HOP_BY_HOP | (listed - {b"transfer-encoding", b"content-length"}))


def replace(fields: Fields, new: Mapping[bytes, bytes]) -> Fields:
    """Return the fields with `new` instead of all of these names: at the place of the first one, or else last."""
    left = dict(new)
    result: list[tuple[bytes, bytes]] = []
    for key, value in fields:
        name = key.lower()
        if name not in new:
            result.append((key, value))
        elif name in left:
            result.append((key, left.pop(name)))
    return (*result, *left.items())


def mask_fields(fields: Fields) -> Fields:
    """Return the fields with credentials masked, for whoever looks at a flow."""
    return tuple((key, MASK if key.lower() in SENSITIVE else value) for key, value in fields)


def is_masked(field: tuple[bytes, bytes]) -> bool:
    """Tell whether a field is a masked credential."""
    return field[0].lower() in SENSITIVE and field[1] == MASK


def sensitive_fields(fields: Fields) -> Fields:
    """Return the fields that `mask_fields` masks."""
    return tuple(field for field in fields if field[0].lower() in SENSITIVE)


def unmask_fields(fields: Fields, real: Fields) -> Fields:
    """Return the fields with the `real` values, in their order, in place of the masks."""
    left = {name: [v for key, v in real if key.lower() == name] for name in SENSITIVE}

    def value_of(name: bytes, value: bytes) -> bytes:
        return left[name].pop(0) if value == MASK and left.get(name) else value

    return tuple((key, value_of(key.lower(), value)) for key, value in fields)


def credential_fields(token: str, *, oauth: bool) -> dict[bytes, bytes]:
    """Return an account's credential as a field: a bearer token for a subscription, `x-api-key` for an API key."""
    secret = token.encode("latin-1")
    return {b"authorization": b"Bearer " + secret} if oauth else {b"x-api-key": secret}


def with_beta(fields: Fields, beta: bytes) -> Fields:
    """Return the fields with `beta` among the comma-separated values of `anthropic-beta`."""
    current = [value for key, value in fields if key.lower() == b"anthropic-beta"]
    joined = b",".join(current)
    if beta in (part.strip() for part in joined.split(b",")):
        return fields
    return replace(fields, {b"anthropic-beta": joined + b"," + beta if joined else beta})


def for_account(fields: Fields, token: str, *, oauth: bool) -> Fields:
    """Return the client's fields with the account's credential in place of the client's own."""
    clean = without(end_to_end(fields), CREDENTIALS | OVERRIDES)
    fresh = {b"accept-encoding": b"identity", **credential_fields(token, oauth=oauth)}
    if get(clean, b"anthropic-version") is None:
        fresh[b"anthropic-version"] = API_VERSION
    result = replace(clean, fresh)
    return with_beta(result, OAUTH_BETA) if oauth else result


def retry_after(fields: Fields, now: float) -> float | None:
    """Return the seconds to wait by `Retry-After`: a number or an HTTP date (RFC 9110 section 10.2.3).

    At least `SHORTEST_WAIT`: servers also send 0, negative numbers and dates in the past. None if it is malformed.
    """
    value = (get(fields, b"retry-after") or "").strip()[:_LONGEST_NUMBER]
    is_number = _SECONDS.fullmatch(value)
    seconds = float(value) if is_number else _until_date(value[:_LONGEST_DATE], now)
    return None if seconds is None else min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)


def with_sound_wait(fields: Fields, now: float) -> Fields:
    """Return the fields for the client: a malformed `Retry-After` is removed, one below 1 becomes 1."""
    if get(fields, b"retry-after") is None:
        return fields
    wait = retry_after(fields, now)
    if wait is None:
        return without(fields, (b"retry-after",))
    return replace(fields, {b"retry-after": b"1"}) if wait <= SHORTEST_WAIT else fields


SHORTEST_WAIT = 1.0
"""Seconds that `Retry-After` is raised to."""
LONGEST_WAIT = 1e9
"""Seconds that `Retry-After` is lowered to: a number of hundreds of digits can't be added to a time."""
_LONGEST_NUMBER = 1000
_LONGEST_DATE = 64
_SECONDS = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)


def _until_date(value: str, now: float) -> float | None:
    try:
        date = parsedate_to_datetime(value)
        zoned = date if date.tzinfo else date.replace(tzinfo=UTC)  # asctime's form names none
        return zoned.timestamp() - now
    except (ValueError, OverflowError):
        return None
