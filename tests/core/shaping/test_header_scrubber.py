from __future__ import annotations

import pytest

from neurolink_mitm.core.shaping.header_scrubber import HeaderScrubber
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
