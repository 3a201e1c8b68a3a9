"""Who may use the proxy: callers that address this machine, come from no foreign page, and present a client key.

A page in the user's browser can post to loopback, and a host name that it controls can resolve there (DNS rebinding);
`Origin`, `Sec-Fetch-Site` and `Host` reveal both. A page's GET has no `Origin`, but browsers always send
`Sec-Fetch-Site`. https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from neurolink_mitm.core.auth.client_keys import ClientKey, digest
from neurolink_mitm.core.auth.loopback import ipv6, is_loopback
from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.headers import Fields

WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to

_HOST = re.compile(r"(?:\[([0-9a-f.]*:[0-9a-f:.]*)\]|([^\s:/?#@,\\\[\]]+))(?::[0-9]*)?")
"""A name, an address, or an IPv6 one in brackets, perhaps with a port: RFC 9110 section 7.2."""

SINGLE = frozenset(
    {b"host", b"origin", b"sec-fetch-site", b"authorization", b"x-api-key", b"x-neurolink-admin"}
)
"""Headers that decide about access: of two, another program may read the other one."""

_DEFAULT_PORTS = {"http": "80", "https": "443"}

OWN_SITES = frozenset({"same-origin", "none"})
"""`none` is the user's own navigation. `same-site` is another port of this host, perhaps another user's."""


def head_refusal(
    fields: Fields,
    *,
    bound: str,
    names: Collection[str] = (),
    hosts: Collection[str] = (),
    any_host: bool = False,
) -> Reply | None:
    """Return the reply to a request from a foreign page, by its `Host`, `Origin` and `Sec-Fetch-Site`; else None.

    `bound` is the address that the proxy listens on, `names` are further names of this machine, and `hosts` those of
    `listen.hosts`, of a balancer say, which may put another `Host` in place of the one that a page's `Origin` has.
    """
    if doubled := _doubled(fields):
        return Reply(400, "invalid_request_error", f"more than one {doubled} header")
    host = headers.get(fields, b"host") or ""
    if not (any_host or _is_ours(name := _plain_name(host), bound, names) or name in hosts):
        return _forbidden(f"Host {host or '(none)'!r:.100} is no address of this proxy")
    origin = headers.get(fields, b"origin")
    if origin is not None and not _is_own_origin(origin, host, hosts):
        return _forbidden(f"requests from pages of {origin!r:.100} are not served")
    site = headers.get(fields, b"sec-fetch-site")
    if site is not None and site.strip().lower() not in OWN_SITES:
        return _forbidden(f"requests from pages of other sites ({site!r:.20}) are not served")
    return None


def _doubled(fields: Fields) -> str | None:
    """Return the name of a `SINGLE` header that occurs twice."""
    names = [name.lower() for name, _ in fields]
    if len(set(names)) == len(names):
        return None
    return next((name.decode() for name in names if name in SINGLE and names.count(name) > 1), None)


class Key(Protocol):
    """A client key, stored or configured."""

    def matches(self, candidate: str) -> bool:
        """In constant time."""


NO_CLIENT_KEY = Reply(
    401,
    "authentication_error",
    "this proxy can be reached from other machines and has no client key: run `neurolink clients add NAME`",
)
HOW = (
    "its owner makes one with `neurolink clients add NAME`; Claude Code shows it as ANTHROPIC_AUTH_TOKEN, others as"
    " their API key"
)
"""It doesn't say `x-api-key`: in place of an error with that word Claude Code shows "Not logged in"."""
ASKED = f"this proxy asks for a client key: {HOW}"
INVALID = f"invalid client key: {HOW}"


def presented_key(fields: Fields, keys: Collection[Key], *, bound: str) -> Key | Reply | None:
    """Return the one of `keys` that the caller presents, or the reply to a caller that presents none.

    None where no key is asked for: without keys, only loopback is open.
    """
    if not keys:
        return None if is_loopback(bound) else NO_CLIENT_KEY
    presented = credential(fields)
    if presented is None:
        return Reply(401, "authentication_error", ASKED)
    # every key is compared, each in constant time, so that the time reveals nothing
    hashed = digest(presented)  # once: there may be many keys
    matches = [
        key
        for key in keys
        if (key.has_digest(hashed) if isinstance(key, ClientKey) else key.matches(presented))
    ]
    return matches[0] if matches else Reply(401, "authentication_error", INVALID)


def is_owner(fields: Fields, token: Key | None) -> bool:
    """Whether the request is of a `neurolink` command of the user who started the proxy: it shows the admin `token`."""
    shown = headers.get(fields, b"x-neurolink-admin")
    return token is not None and shown is not None and token.matches(shown)


def credential(fields: Fields) -> str | None:
    """Return the credential of the caller: its `x-api-key`, else its bearer token."""
    key = headers.get(fields, b"x-api-key")
    if key:
        return key
    scheme, _, token = (headers.get(fields, b"authorization") or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _is_ours(host: str, bound: str, names: Collection[str]) -> bool:
    if not host:
        return False  # `bound` may be empty too
    own = ipv6(bound) if ":" in bound else bound.lower()
    if is_loopback(host) or host == own or host in names:
        return True
    if bound not in WILDCARDS:
        return False
    try:
        ip_address(host)
    except ValueError:
        return False  # only names can be rebound
    return True


def hostname(host: str) -> str:
    """Return `host` without its port; empty if it is malformed."""
    match = _HOST.fullmatch(host.lower())
    return (match[1] or match[2]) if match else ""


def _plain_name(host: str) -> str:
    """Return `host` without its port and a dot at the end, IPv6 in its short form; empty if it is malformed."""
    name = hostname(host.strip())
    return ipv6(name) if ":" in name else name.removesuffix(".")


def _is_own_origin(origin: str, host: str, hosts: Collection[str]) -> bool:
    try:
        parts = urlsplit(origin.strip().lower())
    except ValueError:
        return False
    default = _DEFAULT_PORTS.get(parts.scheme)
    if default is None or not (name := _plain_name(parts.netloc)):
        return False
    if name in hosts:
        return True
    return (name, _port(parts.netloc, default)) == (_plain_name(host), _port(host, default))


def _port(authority: str, default: str) -> str:
    return authority.strip().rpartition("]")[2].partition(":")[2] or default


def _forbidden(message: str) -> Reply:
    return Reply(403, "permission_error", message)
