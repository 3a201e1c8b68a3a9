"""The token store of the original NeuroLink, a TypeScript program, converted to ours: both are `tokens.json`.

Its forms, from juspay/neurolink `src/lib/auth/tokenStore.ts`, `src/lib/types/auth.ts` and `src/cli/commands/auth.ts`:

1. The JSON document, each UTF-16 unit cut to a byte, XORed with the 64 hexadecimal digits of
   `sha256("<home directory>-neurolink-token-store")`, in Base64. It writes no other form by default.
2. An entry with `"disabled": true`, `disabledAt` and `disabledReason`, where ours has an object; `false` once enabled.
3. An API key: `"tokenType": "api-key"` with `expiresAt` 9007199254740991, as it never ends.
4. `{"type": "api-key", "apiKey": …}`, the legacy credentials of one account, as a whole file or as an entry.

The owner's e-mail address and plan are in the scope: `user:inference tier:max email:me@example.com`.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from neurolink_mitm.core.auth.credentials import (
    PROVIDER,
    account_type,
    check_label,
    ends_at,
    parse_token_store,
)
from neurolink_mitm.core.auth.labels import unique
from neurolink_mitm.core.auth.token_document import VERSION
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.redact.secret import Secret

NEVER = 2**53 - 1
"""`Number.MAX_SAFE_INTEGER`: the end of what never ends."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/\r\n]{64,}={0,2}")
"""A store in its obfuscated form; an empty one has more than 64 characters, too."""
_ALONE = "anthropic"
"""Key of an account without a label."""
_LONGEST = 200
"""Characters of a reason, an address or a plan."""
_META = re.compile(r"(tier|email):(\S+)")
_REPLACED = frozenset(
    {"tokens", "account", "type", "disabled", "disabledAt", "disabledReason"}
    | {"apiKey", "oauth", "email", "subscriptionTier", "provider"}
)
"""Members of an entry that have another form in ours."""

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conversion:
    """A store in our form, the labels that it has, and the keys of other providers, which are not in it."""

    data: bytes
    labels: tuple[str, ...]
    left: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Conversion(labels={self.labels}, left={self.left})"


def convert(data: bytes, homes: Iterable[str]) -> Conversion | None:
    """Return the store in our form; None if nothing in `data` is the original's.

    `homes` are the home directories it may have been written in: the key is made from their path.

    Raises `ValueError`, without any content, if it is the original's and can't be understood.
    """
    plain, obfuscated = data, _BASE64.fullmatch(data.strip()) is not None
    if obfuscated:
        plain = reveal(data, homes)
    top, providers = _document(plain)
    if providers is None:
        if obfuscated:
            raise ValueError("the original NeuroLink's store, without a list of providers")
        return None
    ours = {key: raw for key, raw in providers.items() if _is_anthropic(key)}
    if not obfuscated and not any(_is_original(key, _decoded(raw)) for key, raw in ours.items()):
        return None
    document = {"version": VERSION, **top, "providers": _converted(ours)}
    new = msgspec.json.encode(document) + b"\n"
    labels = tuple(account.label for account in parse_token_store(new))
    return Conversion(new, labels, tuple(key for key in providers if not _is_anthropic(key)))


def reveal(data: bytes, homes: Iterable[str]) -> bytes:
    """Return the JSON document of an obfuscated store. Raises `ValueError` if no home's key fits."""
    try:
        hidden = binascii.a2b_base64(data)
    except binascii.Error:
        raise ValueError("Base64 that is cut off or damaged") from None
    for home in dict.fromkeys(homes):
        # a UTF-16 unit was cut to its lower byte, which is the character's code in Latin-1
        text = _xor(hidden, key_of(home)).decode("latin-1").encode()
        if text.startswith(b"{") and _decoded(text) is not None:
            return text
    raise ValueError(
        "the original NeuroLink's store, written with another home directory, from which its key is made:"
        " set HOME to that path for one command, for example: neurolink auth list"
    )


def key_of(home: str) -> bytes:
    return hashlib.sha256(f"{home}-neurolink-token-store".encode()).hexdigest().encode()


def _xor(data: bytes, key: bytes) -> bytes:
    mask = (key * (len(data) // len(key) + 1))[: len(data)]
    number = int.from_bytes(data) ^ int.from_bytes(mask)
    return number.to_bytes(len(data))


def _decoded(raw: bytes | msgspec.Raw) -> Entry | None:
    """Return a JSON object; None for anything else."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except UNREADABLE:
        return None


def _document(plain: bytes) -> tuple[dict[str, msgspec.Raw], Mapping[str, msgspec.Raw] | None]:
    """Return the members of the document, and its entries by their keys; None if it has none."""
    try:
        top = msgspec.json.decode(plain, type=dict[str, msgspec.Raw])
        if "providers" in top:
            return top, msgspec.json.decode(top["providers"], type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return {}, None
    if top.keys() & {"apiKey", "oauth"}:  # the legacy credentials of one account
        return {}, {_ALONE: msgspec.Raw(plain)}
    return {}, None


def _is_anthropic(key: str) -> bool:
    return key == _ALONE or key.startswith(PROVIDER)


def _is_original(key: str, entry: Entry | None) -> bool:
    """Return whether only the original writes such an entry."""
    if entry is None:
        return False
    tokens = entry.get("tokens")
    tokens = tokens if isinstance(tokens, dict) else {}
    return (
        key == _ALONE
        or isinstance(entry.get("disabled"), bool)
        or bool(entry.keys() & {"disabledAt", "disabledReason", "apiKey", "oauth"})
        or "api-key" in (entry.get("type"), tokens.get("tokenType"))
        or tokens.get("expiresAt") == NEVER
    )


def _converted(providers: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """Return the entries in our form; one that is in it already stays as it stands."""
    new: dict[str, Any] = {}
    taken = {key.removeprefix(PROVIDER) for key in providers}
    for key, raw in providers.items():
        entry = _decoded(raw)
        ours = entry is not None and entry.get("type") in ("oauth", "api_key")
        if ours and not _is_original(key, entry):
            new[key] = raw
            continue
        label = _label(key, entry or {}, taken)
        taken.add(label)
        where = f"providers[{msgspec.json.encode(key).decode()}]"
        new[PROVIDER + label] = _entry(entry or {}, label, where)
    return new


def _label(key: str, entry: Entry, taken: Collection[str]) -> str:
    if key == _ALONE:
        return unique(_text(entry.get("email")) or "default", taken)
    label = key.removeprefix(PROVIDER)
    try:
        return check_label(label)
    except ValueError:
        return unique(label, taken)


def _entry(entry: Entry, label: str, where: str) -> Entry:
    tokens = _tokens(entry)
    if tokens is None:
        raise ValueError(f"{where} holds neither tokens nor an API key")
    token, scope = tokens.get("accessToken"), tokens.get("scope")
    about = dict(_META.findall(scope)) if isinstance(scope, str) else {}
    login = isinstance(token, str) and account_type(Secret(token)) == "oauth"
    kept = {name: value for name, value in entry.items() if name not in _REPLACED}
    return {
        **kept,
        "tokens": _new_tokens(tokens, where),
        "account": _owner(entry, about, label),
        "type": "oauth" if login else "api_key",
        **_disabled(entry),
    }


def _tokens(entry: Entry) -> Entry | None:
    tokens, oauth, key = entry.get("tokens"), entry.get("oauth"), entry.get("apiKey")
    if isinstance(tokens, dict):
        return tokens
    if isinstance(oauth, dict) and entry.get("type") != "api-key":
        return oauth
    return {"accessToken": key} if isinstance(key, str) else None


def _new_tokens(tokens: Entry, where: str) -> Entry:
    end = tokens.get("expiresAt")
    never = end is None or (isinstance(end, int | float) and end >= NEVER)
    if never:
        end = None
    elif not isinstance(end, int | float | str):
        raise ValueError(f"{where}.tokens.expiresAt must be a time in milliseconds since 1970")
    seconds = ends_at(end, f"{where}.tokens.expiresAt")
    new = {"accessToken": tokens.get("accessToken"), "expiresAt": round((seconds or 0) * 1000)}
    if tokens.get("refreshToken"):
        new["refreshToken"] = tokens["refreshToken"]
    if isinstance(scope := tokens.get("scope"), str) and (bare := _META.sub("", scope).split()):
        new["scope"] = " ".join(bare)
    return new


def _owner(entry: Entry, about: Mapping[str, str], label: str) -> Entry:
    account = entry.get("account")
    owner: Entry = account if isinstance(account, dict) else {}
    email = (
        _text(entry.get("email")) or _text(about.get("email")) or (label if "@" in label else "")
    )
    plan = _text(entry.get("subscriptionTier")) or _text(about.get("tier"))
    new = {name: text for name, text in (("email", email), ("subscriptionType", plan)) if text}
    return new | owner


def _disabled(entry: Entry) -> Entry:
    if entry.get("disabled") is not True:
        return {}
    reason, at = _text(entry.get("disabledReason")), entry.get("disabledAt")
    text = f"by the original NeuroLink{f': {reason}' if reason else ''}"
    return {"disabled": {"at": at if isinstance(at, int) else 0, "reason": text}}


def _text(value: object) -> str:
    """Return a text that can be shown; empty if it is none."""
    text = value if isinstance(value, str) else ""
    return "".join(char for char in text if char.isprintable())[:_LONGEST].strip()
