from __future__ import annotations

import json

import pytest

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.shaping.outgoing import RefusedError
from neurolink_mitm.core.shaping.rewriters import HeaderScrubber, SystemBlocks, TlsPins
from tests.core.shaping.drafts import draft

KEPT = {
    "host": "x",
    "content-type": "application/json",
    "user-agent": "claude-cli/2",
    "x-app": "cli",
}


@pytest.mark.parametrize(
    "name",
    ["Via", "forwarded", "X-Forwarded-For", "x-forwarded-host", "x-real-ip", "true-client-ip",
     "cf-connecting-ip", "Cookie", "x-neurolink-session-id", "keep-alive", "te", "connection"],
)  # fmt: skip
def test_what_goes(name: str) -> None:
    shaped = HeaderScrubber().rewrite(draft(fields={**KEPT, name: "v"}))
    assert dict(shaped.fields) == dict(draft(fields=KEPT).fields)


def test_what_connection_names_goes() -> None:
    shaped = HeaderScrubber().rewrite(draft(fields={**KEPT, "connection": "x-hop", "x-hop": "1"}))
    assert dict(shaped.fields) == dict(draft(fields=KEPT).fields)


def test_what_the_user_lists_goes_by_wildcards() -> None:
    fields = {**KEPT, "X-Internal-Build": "1", "x-team": "2", "x-teams": "3"}
    shaped = HeaderScrubber(["x-internal-*", "X-Team"]).rewrite(draft(fields=fields))
    assert [name for name, _ in shaped.fields][4:] == [b"x-teams"]


def test_no_wildcard_takes_what_a_request_needs() -> None:
    shaped = HeaderScrubber(["*"]).rewrite(draft(fields=KEPT))
    assert [name for name, _ in shaped.fields] == [b"host", b"content-type"]


def test_with_nothing_to_remove_it_is_the_same_draft() -> None:
    before = draft(fields=KEPT)
    assert HeaderScrubber(["x-internal-*"]).rewrite(before) is before


RULES = SystemBlocks(['Be "brief".', "Schön."])
OWN = [{"type": "text", "text": 'Be "brief".'}, {"type": "text", "text": "Schön."}]
CACHED = {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("system", "wanted"),
    [
        ([CACHED], [CACHED, *OWN]),
        ([], OWN),
        ("You help.", [{"type": "text", "text": "You help."}, *OWN]),
        ("", OWN),
        (None, OWN),
    ],
    ids=["list", "empty-list", "text", "empty-text", "null"],
)
def test_they_come_behind_the_clients(system: object, wanted: object) -> None:
    shaped = RULES.rewrite(draft({"model": "m", "system": system, "messages": []}))
    assert json.loads(shaped.body) == {"model": "m", "system": wanted, "messages": []}


@pytest.mark.parametrize("body", [{"messages": []}, {}], ids=["absent", "nothing"])
def test_where_there_are_none_they_are_added(body: dict[str, object]) -> None:
    shaped = RULES.rewrite(draft(body))
    assert json.loads(shaped.body) == {**body, "system": OWN}


def test_all_other_bytes_stay() -> None:
    before = b'{ "system" : [ {"type":"text", "text":"a"} ] , "x":1.0e5 }'
    head, tail = b'{ "system" : [ {"type":"text", "text":"a"}', b' ] , "x":1.0e5 }'
    after = RULES.rewrite(draft(before)).body
    assert after.startswith(head)
    assert after.endswith(tail)


def test_they_are_the_same_bytes_each_turn() -> None:
    first = RULES.rewrite(draft({"system": [CACHED], "messages": [1]})).body
    second = RULES.rewrite(draft({"system": [CACHED], "messages": [1, 2]})).body
    assert second.startswith(first.removesuffix(b"]}"))


def test_tokens_are_counted_with_them() -> None:
    assert b"brief" in RULES.rewrite(draft({}, kind=Kind.COUNT_TOKENS)).body


def test_other_requests_have_no_system() -> None:
    before = draft({}, kind=Kind.API)
    assert RULES.rewrite(before) is before


@pytest.mark.parametrize(
    "body",
    [b'{"system": 1}', b'{"system":[],"system":""}', b'{"\xff":1}'],
    ids=["number", "twice", "no UTF-8"],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(RefusedError, match="no JSON"):
        RULES.rewrite(draft(body))


PINS = TlsPins({"API.example": ("aa", "bb")})


def test_the_hosts_pins_are_named() -> None:
    assert PINS.rewrite(draft(host="api.EXAMPLE")).pins == ("aa", "bb")


def test_another_host_has_none() -> None:
    before = draft(host="other.example")
    assert PINS.rewrite(before) is before
