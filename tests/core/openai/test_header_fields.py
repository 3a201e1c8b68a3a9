from __future__ import annotations

import pytest

from neurolink_mitm.core.openai.header_fields import messages_fields, session_in
from neurolink_mitm.core.request.headers import Fields


def fields(**values: str) -> Fields:
    return tuple(
        (name.replace("_", "-").encode(), value.encode()) for name, value in values.items()
    )


SENT = fields(
    host="h", user_agent="codex_cli_rs/0.1", authorization="Bearer x", openai_organization="org-1",
    x_stainless_lang="python", originator="codex_cli_rs", content_type="text/plain", accept="*/*",
    content_encoding="zstd", transfer_encoding="chunked", chatgpt_account_id="a", http_referer="u",
    traceparent="t", anthropic_beta="b", x_neurolink_user_id="me", cookie="c", content_length="7",
)  # fmt: skip


def test_what_means_something_to_anthropic_stays() -> None:
    assert messages_fields(SENT, 9) == fields(
        host="h", user_agent="codex_cli_rs/0.1", authorization="Bearer x", traceparent="t",
        anthropic_beta="b", x_neurolink_user_id="me", cookie="c", content_type="application/json",
        content_length="9",
    )  # fmt: skip


def test_the_connection_ends_where_the_client_wants_that() -> None:
    assert (b"connection", b"close") in messages_fields(((b"connection", b"close"),), 1)


def test_a_beta_is_added() -> None:
    sent = messages_fields(((b"anthropic-beta", b"a"),), 1, b"effort-2025-11-24")
    assert (b"anthropic-beta", b"a,effort-2025-11-24") in sent


@pytest.mark.parametrize(
    ("sent", "session"),
    [
        (((b"session_id", b"s1"), (b"conversation_id", b"c")), "s1"),
        (((b"Session-Id", b"s2"),), "s2"),
        (((b"conversation_id", b"c"),), "c"),
        (((b"x-session-id", b"x" * 999),), "x" * 256),
        (((b"session_id", b""), (b"x-claude-code-session-id", b"cc")), "cc"),
        (((b"thread-id", b"t"),), None),
    ],
)
def test_the_session(sent: Fields, session: str | None) -> None:
    assert session_in(sent) == session
