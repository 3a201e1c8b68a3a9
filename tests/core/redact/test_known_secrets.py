from __future__ import annotations

import json

import pytest

from neurolink_mitm.core.logs.capture import Body, document
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.body import redact_fields
from neurolink_mitm.core.redact.known_secrets import encoded_forms, secrets_of
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.stream import redact_stream
from neurolink_mitm.core.settings.cluster import Cluster
from neurolink_mitm.core.settings.notify import Notify
from neurolink_mitm.core.settings.values import Config

KEY = 'corp/key "of" no+form \u00e9'
KNOWN = encoded_forms([Secret(KEY)])
JSON = ((b"content-type", b"application/json"),)


def stored(body: str) -> str:
    return document(Body(body.encode(), len(body)), JSON, KNOWN).decode()


@pytest.mark.parametrize(
    "body",
    [
        f"your key {KEY} is unknown",
        json.dumps({"error": f"no {KEY}"}),
        json.dumps({"error": f"no {KEY}"}, ensure_ascii=False),
        json.dumps({"a": json.dumps({"b": KEY})}),
        json.dumps({"a": KEY}).replace("/", "\\/"),
        "GET /x?k=corp%2Fkey%20%22of%22%20no%2Bform%20%C3%A9",
    ],
    ids=["text", "json", "utf-8", "json-in-json", "slashes", "url"],
)
def test_a_key_of_no_known_form_is_starred_in_bodies(body: str) -> None:
    assert "of" not in stored(body)
    assert "***" in stored(body)


def test_and_in_a_stream_where_it_comes_in_pieces() -> None:
    deltas = (
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": piece}}
        for piece in ("see hunter", "2hun", "ter3 ok")
    )
    stream = "".join(f"event: content_block_delta\ndata: {json.dumps(each)}\n\n" for each in deltas)
    found = redact_stream(stream, ("hunter2hunter3",))
    assert "hun" not in found
    assert "see ***" in found


def test_and_in_header_fields() -> None:
    assert redact_fields(((b"x-echo", b"of hunter2"),), ("hunter2",)) == [("x-echo", "of ***")]


def test_what_is_too_short_would_star_innocent_text() -> None:
    assert encoded_forms([Secret("abc")]) == ()


def test_whose_they_are() -> None:
    account = Account("anthropic:a", "a", "api_key", Secret("one"), "http://h")
    environ = {"X_API_KEY": "two", "HOME": "/home/me"}
    url = "redis://:p%40ss@h/0"
    config = Config(notify=Notify(secret=Secret("signs")), cluster=Cluster(url=Secret(url)))
    found = secrets_of(config, [account], environ)
    assert [each.reveal() for each in found] == ["one", "signs", url, "p%40ss", "p@ss", "two"]
