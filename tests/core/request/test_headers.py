from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request.headers import Fields
from tests.fakes import NOW

TOKEN = "sk-ant-test-token"
CLIENT = (
    (b"Host", b"127.0.0.1:55669"),
    (b"User-Agent", b"claude-cli/2.1.0"),
    (b"X-Api-Key", b"sk-ant-client"),
    (b"Content-Type", b"application/json"),
)


def values(fields: Fields, name: bytes) -> list[bytes]:
    return [value for key, value in fields if key.lower() == name]


names = st.sampled_from(
    [b"Host", b"Accept", b"accept", b"X-Api-Key", b"authorization", b"Cookie", b"Connection", b"TE",
     b"anthropic-version", b"Anthropic-Beta", b"Accept-Encoding", b"X-A", b"x-a", b"Content-Length",
     b"Transfer-Encoding"]
)  # fmt: skip
some_fields = st.lists(
    st.tuples(names, st.sampled_from([b"", b"1", b"x-a", b"close, X-A", b"oauth-2025-04-20"])),
    max_size=8,
).map(tuple)


# --- fields


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"a", "1"), (b"b", "\xe9"), (b"c", None)],
    ids=["the-first", "latin-1", "none"],
)
def test_get(name: bytes, value: str | None) -> None:
    assert headers.get(((b"A", b"1"), (b"a", b"2"), (b"B", b"\xe9")), name) == value


def test_names_in_reads_as_name_in_does() -> None:
    fields = (
        (b"User-Agent", b"a" * 300),
        (b"x", b"1"),
        (b"user-agent", b"second"),
        (b"Y", b"\xe9"),
    )
    names = {b"user-agent", b"y", b"z"}
    each = {name: headers.name_in(fields, name) for name in names}
    assert headers.names_in(fields, names) == {n: text for n, text in each.items() if text}


def test_without_removes_by_name_in_any_case() -> None:
    fields = ((b"A", b"1"), (b"b", b"2"), (b"a", b"3"), (b"C", b"4"))
    assert headers.without(fields, {b"a", b"c"}) == ((b"b", b"2"),)


def test_replace_keeps_the_place_and_the_case_of_the_first() -> None:
    fields = ((b"A", b"1"), (b"B-b", b"2"), (b"c", b"3"), (b"b-B", b"4"))
    assert headers.replace(fields, {b"b-b": b"new"}) == (
        (b"A", b"1"), (b"B-b", b"new"), (b"c", b"3"),
    )  # fmt: skip


def test_replace_puts_what_is_new_last() -> None:
    new = {b"z": b"2", b"y": b"3"}
    assert headers.replace(((b"A", b"1"),), new) == ((b"A", b"1"), (b"z", b"2"), (b"y", b"3"))


@given(some_fields)
def test_replace_leaves_each_name_once_and_others_alone(fields: Fields) -> None:
    new = {b"x-a": b"new", b"host": b"other"}
    result = headers.replace(fields, new)
    assert [values(result, name) for name in new] == [[b"new"], [b"other"]]
    assert headers.without(result, new) == headers.without(fields, new)


# --- hop by hop


@pytest.mark.parametrize(
    "name",
    [b"connection", b"proxy-connection", b"keep-alive", b"te", b"trailer", b"upgrade",
     b"proxy-authorization", b"proxy-authenticate", b"http2-settings"],
    ids=bytes.decode,
)  # fmt: skip
def test_hop_by_hop_fields_are_removed(name: bytes) -> None:
    assert headers.end_to_end(((name.title(), b"x"), (b"Host", b"h"))) == ((b"Host", b"h"),)


@pytest.mark.parametrize(
    "connection",
    [
        ((b"Connection", b"X-A"),),
        ((b"connection", b"close, x-a"),),
        ((b"connection", b"x-b ,\tx-A , keep-alive"),),
        ((b"connection", b"close"), (b"Connection", b"x-a")),
    ],
    ids=["one", "after-close", "among-others", "in-a-second-field"],
)
def test_fields_that_connection_names_are_removed(connection: Fields) -> None:
    fields = ((b"X-A", b"1"), *connection, (b"X-a", b"2"), (b"Accept", b"3"))
    assert headers.end_to_end(fields) == ((b"Accept", b"3"),)


@pytest.mark.parametrize("name", [b"Content-Length", b"Transfer-Encoding"], ids=bytes.decode)
def test_connection_can_not_remove_how_the_body_is_framed(name: bytes) -> None:
    fields = ((name, b"x"),)
    assert headers.end_to_end(((b"Connection", name), *fields)) == fields


@given(some_fields)
def test_what_is_left_is_in_order_and_as_it_was(fields: Fields) -> None:
    left = iter(fields)
    assert all(field in left for field in headers.end_to_end(fields))


@given(some_fields)
def test_end_to_end_fields_stay(fields: Fields) -> None:
    plain = headers.without(fields, {b"connection", b"te"})
    assert headers.end_to_end(plain) == plain


# --- an account's credential


def test_a_key_goes_by_x_api_key() -> None:
    assert headers.credential_fields(TOKEN, oauth=False) == {b"x-api-key": TOKEN.encode()}


def test_a_login_goes_by_bearer() -> None:
    shown = headers.credential_fields(TOKEN, oauth=True)
    assert shown == {b"authorization": b"Bearer " + TOKEN.encode()}


def test_a_key_in_place_of_the_clients() -> None:
    assert headers.for_account(CLIENT, TOKEN, oauth=False) == (
        (b"Host", b"127.0.0.1:55669"),
        (b"User-Agent", b"claude-cli/2.1.0"),
        (b"Content-Type", b"application/json"),
        (b"accept-encoding", b"identity"),
        (b"x-api-key", TOKEN.encode()),
        (b"anthropic-version", b"2023-06-01"),
    )


def test_a_login_in_place_of_the_clients() -> None:
    assert headers.for_account(CLIENT, TOKEN, oauth=True) == (
        (b"Host", b"127.0.0.1:55669"),
        (b"User-Agent", b"claude-cli/2.1.0"),
        (b"Content-Type", b"application/json"),
        (b"accept-encoding", b"identity"),
        (b"authorization", b"Bearer " + TOKEN.encode()),
        (b"anthropic-version", b"2023-06-01"),
        (b"anthropic-beta", b"oauth-2025-04-20"),
    )


@pytest.mark.parametrize("oauth", [True, False], ids=["oauth", "key"])
@pytest.mark.parametrize("name", [b"Authorization", b"X-API-Key", b"Cookie"], ids=bytes.decode)
def test_no_credential_of_the_client_travels_on(name: bytes, oauth: bool) -> None:
    fields = ((name, b"mine"), *CLIENT, (name.lower(), b"mine too"))
    sent = headers.for_account(fields, TOKEN, oauth=oauth)
    assert not any(b"mine" in value or b"client" in value for _, value in sent)


@given(some_fields, st.booleans())
def test_exactly_one_credential_goes_out(fields: Fields, oauth: bool) -> None:
    sent = headers.for_account(fields, TOKEN, oauth=oauth)
    shown = [value for key, value in sent if key.lower() in headers.CREDENTIALS]
    assert shown == list(headers.credential_fields(TOKEN, oauth=oauth).values())


@given(some_fields, st.booleans())
def test_anthropics_version_is_sent_once_at_least(fields: Fields, oauth: bool) -> None:
    sent = values(headers.for_account(fields, TOKEN, oauth=oauth), b"anthropic-version")
    assert sent == (values(fields, b"anthropic-version") or [b"2023-06-01"])


@given(some_fields, st.booleans())
def test_an_answer_is_asked_for_that_can_be_read(fields: Fields, oauth: bool) -> None:
    sent = headers.for_account(fields, TOKEN, oauth=oauth)
    assert values(sent, b"accept-encoding") == [b"identity"]


def test_what_is_replaced_stays_where_it_stood() -> None:
    fields = ((b"Accept-Encoding", b"br"), (b"Anthropic-Version", b"2099-01-01"), (b"A", b"1"))
    assert headers.for_account(fields, TOKEN, oauth=False) == (
        (b"Accept-Encoding", b"identity"),
        (b"Anthropic-Version", b"2099-01-01"),
        (b"A", b"1"),
        (b"x-api-key", TOKEN.encode()),
    )


# --- for whoever looks at a flow


@pytest.mark.parametrize(
    "name", [b"Authorization", b"Proxy-Authorization", b"X-Api-Key", b"Cookie"], ids=bytes.decode
)
def test_credentials_are_starred_where_they_stand(name: bytes) -> None:
    fields = ((name, b"k"), (b"A", b"k"), (name.lower(), b"l"))
    assert headers.mask_fields(fields) == ((name, b"***"), (b"A", b"k"), (name.lower(), b"***"))


# --- anthropic-beta


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [b"oauth-2025-04-20"]),
        ([b""], [b"oauth-2025-04-20"]),
        ([b"a"], [b"a,oauth-2025-04-20"]),
        ([b"a,b", b"c"], [b"a,b,c,oauth-2025-04-20"]),
        ([b"oauth-2025-04-20"], [b"oauth-2025-04-20"]),
        ([b"a, oauth-2025-04-20 ,b"], [b"a, oauth-2025-04-20 ,b"]),
        ([b"a", b"oauth-2025-04-20"], [b"a", b"oauth-2025-04-20"]),
        ([b"not-oauth-2025-04-20"], [b"not-oauth-2025-04-20,oauth-2025-04-20"]),
    ],
    ids=["none", "empty", "one", "several-fields", "there", "among-others", "in-a-second-field",
         "part-of-a-name"],
)  # fmt: skip
def test_beta_is_added_once(before: list[bytes], after: list[bytes]) -> None:
    fields = tuple((b"Anthropic-Beta", value) for value in before)
    assert values(headers.with_beta(fields, headers.OAUTH_BETA), b"anthropic-beta") == after


@given(some_fields)
def test_beta_is_added_only_once_however_often(fields: Fields) -> None:
    once = headers.with_beta(fields, b"new")
    assert headers.with_beta(once, b"new") == once


def test_a_key_needs_no_beta() -> None:
    sent = headers.for_account(((b"anthropic-beta", b"a"),), TOKEN, oauth=False)
    assert values(sent, b"anthropic-beta") == [b"a"]


# --- Retry-After


def wait(value: str, now: float = NOW) -> float | None:
    return headers.retry_after(((b"Retry-After", value.encode("latin-1")),), now)


def test_without_retry_after_there_is_none() -> None:
    assert headers.retry_after(((b"x-retry-after", b"1"),), NOW) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 1), ("7", 7), (" 7 ", 7), ("0.5", 1), ("1.5", 1.5), ("-3", 1), ("+7", 7),
     ("9" * 30, 1e9), ("9" * 500, 1e9), ("9" * 5000, 1e9)],
    ids=["zero", "whole", "spaces", "fraction", "more", "negative", "plus", "huge", "endless", "cut"],
)  # fmt: skip
def test_retry_after_in_seconds(value: str, seconds: float) -> None:
    assert wait(value) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Thu, 09 Oct 2025 08:53:30 GMT", 10.0),
        ("Thursday, 09-Oct-25 08:53:30 GMT", 10.0),
        ("Thu Oct  9 08:53:30 2025", 10.0),
        ("Thu, 09 Oct 2025 10:53:30 +0200", 10.0),
        ("Thu, 09 Oct 2025 08:53:10 GMT", 1.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 1.0),
    ],
    ids=["date", "rfc-850", "asctime", "zone", "past", "long-past"],
)
def test_retry_after_as_a_date(value: str, seconds: float) -> None:
    """All three forms of RFC 9110 section 5.6.7."""
    assert wait(value) == seconds


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("7", "7"), ("1", "1"), ("0", "1"), ("-5", "1"), ("0.2", "1"), ("2.5", "2.5"),
        ("Thu, 09 Oct 2025 08:53:30 GMT", "Thu, 09 Oct 2025 08:53:30 GMT"),
        ("Thu, 09 Oct 2025 08:53:10 GMT", "1"), ("soon", None), ("", None), ("nan", None),
    ],
)  # fmt: skip
def test_the_client_is_told_of_no_wait_below_a_second(value: str, told: str | None) -> None:
    fields = ((b"a", b"1"), (b"Retry-After", value.encode()), (b"b", b"2"))
    sound = headers.with_sound_wait(fields, NOW)
    assert headers.get(sound, b"retry-after") == told
    assert headers.without(sound, (b"retry-after",)) == ((b"a", b"1"), (b"b", b"2"))


@pytest.fixture
def _in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_tokyo")
@pytest.mark.parametrize(
    "value",
    ["Thu Oct  9 08:53:30 2025", "Thu, 09 Oct 2025 08:53:30 -0000", "9 Oct 2025 08:53:30"],
    ids=["asctime", "unknown-zone", "no-zone"],
)
def test_a_date_without_a_zone_is_utc_wherever_we_are(value: str) -> None:
    assert wait(value) == 10.0


@pytest.mark.parametrize(
    "value",
    [
        "", "soon", "1 minute", "nan", "inf", "-inf", "1e999", "0x10", ",", "Mon,",
        "Thu, 32 Oct 2025 08:53:30 GMT",
        "Thu, 09 Oct 99999 08:53:30 GMT",
        "Thu, 09 Oct 99999999999999999999 08:53:30 GMT",
        "Thu, 09 Oct 2025 08:53:30 +99999999999999",
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_time_is_none(value: str) -> None:
    assert wait(value) is None


dates = st.builds(
    "{}{} {} {} {}:{}:{} {}".format,
    st.sampled_from(["", "Thu, ", "Thu "]),
    *[st.integers(-1, 10**20)],
    st.sampled_from(["Oct", "x", ""]),
    *[st.integers(-1, 10**20)] * 4,
    st.sampled_from(["", "GMT", "-0000", "+9999", "-99999999999999999999"]),
)


@given(st.text(st.characters(max_codepoint=255), max_size=40) | dates | st.floats().map(str))
def test_no_retry_after_makes_it_raise(value: str) -> None:
    seconds = wait(value)
    assert seconds is None or 0 <= seconds < float("inf")
