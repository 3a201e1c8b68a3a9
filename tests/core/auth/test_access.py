from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.auth.access import (
    ASKED,
    INVALID,
    NO_CLIENT_KEY,
    credential,
    head_refusal,
    presented_key,
)
from neurolink_mitm.core.auth.client_keys import (
    CLIENT_KEY_PREFIX,
    ClientKey,
    digest,
)
from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.redact.secret import Secret

KEY = CLIENT_KEY_PREFIX + "a" * 43


def status(
    host: str | None,
    origin: str | None = None,
    *,
    bound: str = "127.0.0.1",
    names: frozenset[str] = frozenset(),
    hosts: tuple[str, ...] = (),
    any_host: bool = False,
) -> int | None:
    """Of the refusal; None where there is none."""
    fields = [(b"Host", host.encode("latin-1"))] if host is not None else []
    fields += [(b"Origin", origin.encode("latin-1"))] if origin is not None else []
    found = head_refusal(tuple(fields), bound=bound, names=names, hosts=hosts, any_host=any_host)
    assert found is None or found.error_type == "permission_error"
    return found.status if found else None


ALL = "0.0.0.0"  # noqa: S104 - compared with, not bound to
ANY = ["", ALL, "::"]
LOOPBACK = ["127.0.0.1", "127.0.0.1:55669", "127.8.9.10", "localhost", "localhost:55669",
            "LocalHost", "proxy.localhost:80", "[::1]", "[::1]:55669", "127.0.0.1:"]  # fmt: skip
FOREIGN = ["evil.example", "evil.example:55669", "127.0.0.1.evil.example", "localhost.evil.example",
           "evil-localhost", "notlocalhost", "127.0.0.1.nip.io", "192.168.1.7", ALL,
           "0.0.0.0:55669", "[::]", "[2001:db8::1]", "2130706433", "127.1", "0x7f.0.0.1"]  # fmt: skip
MALFORMED = ["", " ", ":", ":55669", "[", "[::1", "[bad]", "[127.0.0.1]", "user@127.0.0.1",
             "user:pw@localhost", "127.0.0.1/x", "127.0.0.1?x", "localhost#x", "localhost\\x",
             "127.0.0.1:x", "127.0.0.1:1:2", "127.0.0.1 evil.example", "localhost,evil.example",
             "evil.example@localhost", "\xe9"]  # fmt: skip


@pytest.mark.parametrize("bound", ["127.0.0.1", "::1", "localhost", "192.168.1.7", *ANY])
def test_loopback_is_ours_wherever_we_listen(bound: str) -> None:
    assert [host for host in LOOPBACK if status(host, bound=bound) is not None] == []


@pytest.mark.parametrize("host", FOREIGN)
def test_a_foreign_host_is_refused(host: str) -> None:
    """A page whose name was rebound to 127.0.0.1 still names itself."""
    assert status(host) == 403


@pytest.mark.parametrize("bound", ["127.0.0.1", *ANY])
def test_a_malformed_host_is_refused_wherever_we_listen(bound: str) -> None:
    assert [host for host in MALFORMED if status(host, bound=bound) != 403] == []


@pytest.mark.parametrize("bound", ["127.0.0.1", *ANY])
def test_a_request_without_host_is_refused(bound: str) -> None:
    assert status(None, bound=bound) == 403


@pytest.mark.parametrize(
    ("bound", "host"),
    [
        ("192.168.1.7", "192.168.1.7:55669"),
        ("proxy.lan", "proxy.lan"),
        ("Proxy.LAN", "proxy.lan:1"),
        ("2001:db8::1", "[2001:db8::1]:55669"),
        ("2001:DB8::1", "[2001:db8::1]"),
    ],
)
def test_the_bound_address_is_ours(bound: str, host: str) -> None:
    assert status(host, bound=bound) is None


@pytest.mark.parametrize("bound", ANY)
@pytest.mark.parametrize("host", ["192.168.1.7", "10.0.0.1:55669", "[2001:db8::1]:55669"])
def test_bound_to_all_any_address_is_ours(host: str, bound: str) -> None:
    """Rebinding takes a name: a bare address can't be rebound."""
    assert status(host, bound=bound) is None


@pytest.mark.parametrize("bound", ANY)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:55669", "127.0.0.1.nip.io"])
def test_bound_to_all_names_are_still_foreign(host: str, bound: str) -> None:
    assert status(host, bound=bound) == 403


@pytest.mark.parametrize(
    ("host", "expected"),
    [("desk", None), ("desk:55669", None), ("DESK", None), ("desk.evil.example", 403)],
)
def test_names_of_this_machine_are_ours(host: str, expected: int | None) -> None:
    assert status(host, names=frozenset({"desk"})) == expected


LISTED = ("pool.example.com", "2001:db8::7")


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("pool.example.com", None, None),
        ("POOL.example.com.:8443", None, None),
        ("[2001:DB8:0::7]:1", None, None),
        ("x.pool.example.com", None, 403),
        ("pool.example.com.evil.example", None, 403),
        ("pool.example.com", "https://pool.example.com", None),
        ("pool.example.com:443", "https://Pool.example.com.", None),
        ("replica-1.svc:55669", "https://pool.example.com", 403),
        ("127.0.0.1:55669", "https://pool.example.com:8443", None),
        ("pool.example.com", "https://evil.example", 403),
        ("pool.example.com", "https://pool.example.com@evil.example", 403),
        ("pool.example.com", "null", 403),
        ("pool.example.com", "ftp://pool.example.com", 403),
        ("pool.example.com", "https://[", 403),
    ],
)
def test_listed_hosts_are_ours(host: str, origin: str | None, expected: int | None) -> None:
    """A balancer may put its own `Host` in place of the one that the page's address has."""
    assert status(host, origin, hosts=LISTED) == expected


@pytest.mark.parametrize("host", [None, "", "10.1.2.3:80", "anything.example", "_", "a b"])
def test_a_probe_has_any_host(host: str | None) -> None:
    assert status(host, any_host=True) is None
    assert status(host, "https://evil.example", any_host=True) == 403


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (((b"host", b"evil.example"),), "Host 'evil.example' is no address of this proxy"),
        ((), "Host '(none)' is no address of this proxy"),
        (
            ((b"host", b"localhost"), (b"origin", b"https://evil.example")),
            "requests from pages of 'https://evil.example' are not served",
        ),
    ],
    ids=["host", "no-host", "origin"],
)
def test_a_refusal_says_why(fields: tuple[tuple[bytes, bytes], ...], message: str) -> None:
    assert head_refusal(fields, bound="127.0.0.1") == Reply(403, "permission_error", message)


@pytest.mark.parametrize("name", [b"host", b"origin"])
def test_a_refusal_does_not_repeat_all_of_a_long_name(name: bytes) -> None:
    found = head_refusal(
        ((name, b"evil.example" * 999), (b"host", b"localhost")), bound="127.0.0.1"
    )
    assert found is not None
    assert len(found.message) < 200


# --- Origin


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:55669", "http://127.0.0.1:55669"),
        ("localhost:55669", "http://LocalHost:55669"),
        ("LOCALHOST:55669", "http://localhost:55669"),
        ("[::1]:55669", "http://[::1]:55669"),
        ("127.0.0.1:55669", None),
    ],
    ids=["same", "case", "host-case", "ipv6", "no-page"],
)
def test_our_own_origin(host: str, origin: str | None) -> None:
    assert status(host, origin) is None


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://evil.example:55669", "null", "", "http://localhost:3000",
     "http://127.0.0.1", "http://127.0.0.1:556690", "http://localhost:55669",
     "http://127.0.0.1:55669.evil.example", "http://127.0.0.1:55669@evil.example", "http://[",
     "127.0.0.1:55669", "file://", "chrome-extension://abcdefgh"],
)  # fmt: skip
def test_a_page_from_elsewhere_is_refused(origin: str) -> None:
    """Any other port is another site: what runs there may be anybody's."""
    assert status("127.0.0.1:55669", origin) == 403


values = st.text(st.characters(max_codepoint=255))


@given(values, st.none() | values)
def test_no_host_and_no_origin_make_it_raise(host: str, origin: str | None) -> None:
    assert status(host, origin) in (None, 403)


labels = st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True)


@given(st.lists(labels, min_size=2, max_size=4).map(".".join), st.sampled_from(["", ":55669"]))
def test_no_name_but_localhost_is_ours(name: str, port: str) -> None:
    expected = None if is_loopback(name) else 403
    assert status(name + ".example" + port) == 403
    assert status(name + port) == expected


# --- client keys

KEYS = (Secret("client-one"), Secret("client-two"))


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ((), None),
        (((b"X-Api-Key", b"k"),), "k"),
        (((b"Authorization", b"Bearer t"),), "t"),
        (((b"authorization", b"bearer   t "),), "t"),
        (((b"x-api-key", b"k"), (b"authorization", b"Bearer t")), "k"),
        (((b"x-api-key", b""), (b"authorization", b"Bearer t")), "t"),
        (((b"authorization", b"Basic dTpw"),), None),
        (((b"authorization", b"Bearer"),), None),
        (((b"authorization", b"Bearer "),), None),
        (((b"authorization", b"t"),), None),
        (((b"cookie", b"k"),), None),
    ],
    ids=["nothing", "key", "bearer", "spaces", "both", "empty-key", "basic", "no-token",
         "empty-token", "no-scheme", "cookie"],
)  # fmt: skip
def test_what_a_caller_shows(fields: tuple[tuple[bytes, bytes], ...], shown: str | None) -> None:
    assert credential(fields) == shown


@pytest.mark.parametrize("key", ["client-one", "client-two"])
@pytest.mark.parametrize(
    "field", [(b"x-api-key", b"%s"), (b"authorization", b"Bearer %s")], ids=["key", "bearer"]
)
def test_each_key_opens(field: tuple[bytes, bytes], key: str) -> None:
    name, form = field
    found = presented_key(((name, form % key.encode()),), KEYS, bound=ALL)
    assert isinstance(found, Secret)
    assert found.matches(key)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, ASKED),
        (b"", ASKED),
        (b"client-on", INVALID),
        (b"client-one ", INVALID),
        (b"CLIENT-ONE", INVALID),
        (b"client-one,client-two", INVALID),
        (b"\xff\xfe", INVALID),
    ],
    ids=["none", "empty", "part", "space", "case", "both", "binary"],
)
def test_no_other_key_opens(value: bytes | None, message: str) -> None:
    found = presented_key(() if value is None else ((b"x-api-key", value),), KEYS, bound=ALL)
    assert isinstance(found, Reply)
    assert (found.status, found.error_type) == (401, "authentication_error")
    assert found.message == message


class CountingKey(Secret):
    """Counts how often it is compared."""

    compared = 0

    def matches(self, candidate: str) -> bool:
        type(self).compared += 1
        return super().matches(candidate)


def test_every_key_is_compared_whichever_fits() -> None:
    """How long it takes tells nothing."""
    CountingKey.compared = 0
    keys = [CountingKey("1"), CountingKey("2"), CountingKey("3")]
    presented_key(((b"x-api-key", b"1"),), keys, bound=ALL)
    assert CountingKey.compared == 3


@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1"])
def test_without_keys_loopback_is_open(bound: str) -> None:
    assert presented_key((), (), bound=bound) is None


@pytest.mark.parametrize("bound", ["", ALL, "::", "192.168.1.7"])
def test_without_keys_nobody_gets_in_from_elsewhere(bound: str) -> None:
    """The last one may have been revoked while it runs."""
    found = presented_key(((b"x-api-key", b"anything"),), (), bound=bound)
    assert isinstance(found, Reply)
    assert found.status == 401
    assert "neurolink clients add" in found.message


def test_hashed_keys_open_too() -> None:
    keys = (*KEYS, ClientKey("laptop", digest("client-three"), 0))
    assert presented_key(((b"x-api-key", b"client-three"),), keys, bound=ALL) is keys[-1]
    shown = digest("client-three").encode()
    assert isinstance(presented_key(((b"x-api-key", shown),), keys, bound=ALL), Reply)


@pytest.mark.parametrize("text", [ASKED, INVALID, NO_CLIENT_KEY.message])
def test_no_refusal_has_the_word_that_makes_claude_code_hide_it(text: str) -> None:
    assert "x-api-key" not in text
    assert "neurolink clients add" in text


# --- what a browser says by itself


@pytest.mark.parametrize(
    ("site", "expected"),
    [("none", None), ("same-origin", None), (" None ", None), ("cross-site", 403), ("same-site", 403),
     ("Cross-Site", 403), ("", 403), ("none, none", 403), ("invented", 403)],
)  # fmt: skip
def test_a_page_says_where_it_comes_from(site: str, expected: int | None) -> None:
    """A GET, and a form in some browsers, has no `Origin`; another port of this host is another site, too."""
    fields = ((b"host", b"localhost:55669"), (b"Sec-Fetch-Site", site.encode()))
    found = head_refusal(fields, bound="127.0.0.1")
    assert (found.status if found else None) == expected


@pytest.mark.parametrize(
    "name",
    [b"host", b"Origin", b"sec-fetch-site", b"authorization", b"X-Api-Key", b"x-neurolink-admin"],
)
@pytest.mark.parametrize("same", [True, False], ids=["same", "another"])
def test_of_two_nobody_knows_which_counts(name: bytes, same: bool) -> None:
    values = {b"host": b"localhost", b"origin": b"http://localhost", b"sec-fetch-site": b"none"}
    value = values.get(name.lower(), b"Bearer x")
    fields = (
        (b"host", b"localhost"),
        (name, value),
        (name.upper(), value if same else b"evil.example"),
    )
    found = head_refusal(fields, bound="127.0.0.1")
    assert found is not None
    assert found.status == 400
    assert name.lower().decode() in found.message


def test_other_fields_may_be_there_twice() -> None:
    fields = ((b"host", b"localhost"), (b"cookie", b"a=1"), (b"cookie", b"b=2"))
    assert head_refusal(fields, bound="127.0.0.1") is None
