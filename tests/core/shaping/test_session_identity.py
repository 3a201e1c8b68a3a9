from __future__ import annotations

import json
from typing import Any

import pytest

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.shaping.session_identity import SessionIdentity, with_account
from tests.core.shaping.drafts import UUID, draft

OTHER = "99999999-8888-7777-6666-555555555555"
DEVICE = "ab" * 32
LEGACY = f"user_{DEVICE}_account_{OTHER}_session_{UUID}"
BARE = f"user_{DEVICE}_account__session_{UUID}"
JSON = json.dumps({"device_id": DEVICE, "account_uuid": OTHER, "session_id": UUID})
IDENTITY = SessionIdentity(b"key")


def shaped(user_id: str | None, body: bytes | None = None, **about: Any) -> bytes:
    """What becomes of a request with this `metadata.user_id`."""
    metadata = {} if user_id is None else {"metadata": {"user_id": user_id}}
    raw = json.dumps({"model": "m", **metadata, "messages": []}).encode() if body is None else body
    return IDENTITY.rewrite(draft(raw, user_id=user_id, **about)).body


def user_id_in(body: bytes) -> Any:
    return json.loads(body)["metadata"]["user_id"]


@pytest.mark.parametrize(
    "user_id", [LEGACY, JSON, JSON.replace(" ", "")], ids=["legacy", "json", "compact"]
)
def test_the_account_is_the_one_in_use_and_all_else_stays(user_id: str) -> None:
    body = shaped(user_id)
    assert user_id_in(body) == user_id.replace(OTHER, UUID)
    assert body.replace(UUID.encode(), OTHER.encode()) == json.dumps(
        {"model": "m", "metadata": {"user_id": user_id}, "messages": []}
    ).encode().replace(UUID.encode(), OTHER.encode())


def test_a_key_has_no_account_of_that_kind() -> None:
    assert user_id_in(shaped(LEGACY, account_type="api_key", account_uuid=None)) == BARE


def test_a_key_in_the_client_gets_the_subscription_in_use() -> None:
    assert with_account(BARE, UUID) == LEGACY.replace(OTHER, UUID)


def test_a_login_that_does_not_say_whose_it_is_leaves_it() -> None:
    assert user_id_in(shaped(LEGACY, account_uuid=None)) == LEGACY


@pytest.mark.parametrize("form", ["someone", "{}", '{"account_uuid": 1', '{"account_uuid":"x"}'])
def test_another_form_by_claude_code_is_left_alone(form: str) -> None:
    assert user_id_in(shaped(form)) == form


def test_another_client_gets_an_id_that_says_nothing_and_stays() -> None:
    first, again = (user_id_in(shaped("bob@corp.example", claude_code=False)) for _ in range(2))
    assert first == again
    assert "bob" not in first
    assert first != user_id_in(shaped("eve@corp.example", claude_code=False))


@pytest.mark.parametrize(
    "body",
    [b'{"model":"m"}', b"{}", b'{"metadata":{}}', b'{"metadata": null}', b'{"metadata": {"a": 1}}'],
    ids=["no-metadata", "nothing", "empty", "null", "more"],
)
def test_another_client_without_one_gets_one(body: bytes) -> None:
    assert user_id_in(shaped(None, body, claude_code=False)).startswith("user_")


def test_claude_code_without_one_gets_none() -> None:
    assert shaped(None, b"{}") == b"{}"


def test_counting_tokens_takes_no_metadata() -> None:
    assert shaped(LEGACY, kind=Kind.COUNT_TOKENS) == shaped(
        LEGACY.replace(OTHER, OTHER), kind=Kind.COUNT_TOKENS
    )
    assert OTHER.encode() in shaped(LEGACY, kind=Kind.COUNT_TOKENS)


def test_what_is_right_already_is_the_same_draft() -> None:
    right = LEGACY.replace(OTHER, UUID)
    before = draft({"metadata": {"user_id": right}}, user_id=right)
    assert IDENTITY.rewrite(before) is before


DECOY = {
    "role": "user",
    "content": [{"type": "tool_use", "input": {"metadata": {"user_id": LEGACY}}}],
}


@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_only_the_requests_own_metadata_is_meant(first: bool) -> None:
    own, decoy = {"metadata": {"user_id": LEGACY}}, {"messages": [DECOY]}
    body = json.dumps({**decoy, **own} if first else {**own, **decoy}).encode()
    result = json.loads(shaped(LEGACY, body))
    assert result["messages"] == [DECOY]
    assert result["metadata"]["user_id"] == LEGACY.replace(OTHER, UUID)


def test_a_text_that_looks_like_it_is_none() -> None:
    text = '"metadata":{"user_id":"' + LEGACY + '"}'
    body = json.dumps({"metadata": {"user_id": LEGACY}, "messages": [text, "metadata"]}).encode()
    assert json.loads(shaped(LEGACY, body))["messages"] == [text, "metadata"]


def test_what_can_not_be_read_is_left_alone() -> None:
    twice = b'{"metadata":{"user_id":"a"},"metadata":{"user_id":"b"}}'
    assert shaped("b", twice, claude_code=False) == twice


def test_another_one_with_its_name_is_not_taken_for_it() -> None:
    """Where the request's own is written with an escape, the only plain one is somebody else's."""
    decoy = b'"messages":[{"metadata":{"user_id":"mine"}}]'
    body = b'{%s,"met\\u0061data":{"user_id":"%s"}}' % (decoy, LEGACY.encode())
    after = shaped(LEGACY, body)
    assert decoy in after
    assert user_id_in(after) == LEGACY.replace(OTHER, UUID)
