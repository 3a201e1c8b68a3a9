"""What shaping takes of the event loop's time, on a request of Claude Code's size (115 KB)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

from bench.payloads import Pace, request_body, session_id
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.json_spans import Edit
from neurolink_mitm.core.settings import shaping
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins
from neurolink_mitm.core.shaping.outgoing import OutgoingRequest
from neurolink_mitm.core.shaping.pipeline import Pipeline
from tests.core.shaping.drafts import UUID, draft

BODY = request_body("streamed", Pace(), session_id(1))
REQUEST = draft(BODY, user_id=json.loads(BODY)["metadata"]["user_id"])
EDITS = Plugins(
    system_prompt_injector=shaping.SystemPromptInjector(True, ("House rules.",)),
    word_obfuscator=shaping.WordObfuscator(True, ("say hi",), detectors=("email",)),
)
LIMIT = 0.001


def least_seconds(do: Callable[[], object]) -> float:
    """Of CPU, on a machine that is busy with other things."""

    def once() -> float:
        began = time.process_time()
        do()
        return time.process_time() - began

    return min(once() for _ in range(50))


def test_three_spans_are_found_and_changed_within_a_millisecond() -> None:
    def edited() -> bytes:
        root = spans.root(BODY)
        found = {part.name: part.value for part in spans.parts(BODY, root)}
        user_id = spans.member(BODY, found["metadata"], "user_id")
        message = spans.parts(BODY, found["messages"])[-1].value
        content = spans.member(BODY, message, "content")
        assert user_id
        assert content
        system = found["system"]
        added = spans.added(system, spans.parts(BODY, system), b'{"type":"text","text":"rules"}')
        return spans.apply(BODY, [Edit(user_id, b'"me"'), Edit(content, b'"hi"'), added])

    after = json.loads(edited())
    assert (after["metadata"], after["messages"][0]["content"], after["system"][-1]["text"]) == (
        {"user_id": "me"},
        "hi",
        "rules",
    )
    assert least_seconds(edited) < LIMIT


def test_three_plugins_take_a_millisecond_of_what_they_have_seen_before() -> None:
    """The words of the history and of the tools are known from the requests before."""
    pipeline = Pipeline.of(Cloaking(plugins=EDITS), b"key")

    def shaped() -> OutgoingRequest:
        return pipeline.shape(REQUEST)

    after = json.loads(shaped().body)
    assert UUID in after["metadata"]["user_id"]
    assert after["system"][-1]["text"] == "House rules."
    assert after["messages"][0]["content"][-1]["text"].startswith("NL_WORD_")
    assert least_seconds(shaped) < LIMIT


def test_with_nothing_to_change_it_takes_next_to_nothing() -> None:
    pipeline = Pipeline.of(Cloaking(), b"key")
    right = replace(REQUEST, about=replace(REQUEST.about, account_uuid=session_id(0)))
    assert pipeline.shape(right).body is BODY
    assert least_seconds(lambda: pipeline.shape(right)) < LIMIT / 10
