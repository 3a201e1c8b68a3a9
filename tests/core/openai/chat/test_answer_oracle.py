"""LiteLLM makes the same completions of Anthropic's answers, whole and streamed, but for what `DIFFERENCES` lists."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from tests.core.openai.answers import (
    CALL,
    FOUND,
    REDACTED,
    SEARCH,
    THINKING,
    events,
    message,
    streamed,
    text,
)
from tests.core.openai.chat.chunks import completion, joined, written

Json = dict[str, Any]

CASES = {
    "texts": message(text("Hi"), text(" you")),
    "calls": message(
        THINKING, text("a"), CALL, {**CALL, "id": "toolu_2", "input": {}}, stop_reason="tool_use"
    ),
    "thinking twice": message(THINKING, text("x"), {**THINKING, "thinking": "2"}, text("y")),
    "redacted": message(REDACTED, text("a")),
    "a tool of Anthropic's": message(text("a"), SEARCH, FOUND, text("b")),
    "no words": message(),
    "few counts": message(text("a"), usage={"input_tokens": 1, "output_tokens": 2}),
    **{
        reason: message(text("a"), stop_reason=reason)
        for reason in (
            "stop_sequence", "max_tokens", "refusal", "pause_turn", "model_context_window_exceeded",
            "of_tomorrow",
        )
    },
}  # fmt: skip

DIFFERENCES = {
    # A call of `web_search` has been answered by Anthropic: a client that answers it again is refused.
    ("a tool of Anthropic's", "calls"): ([("srvtoolu_1", "web_search", {"q": "x"})], []),
    # The answer is not complete: the limit of the model's context is one of tokens, too.
    ("model_context_window_exceeded", "finish_reason"): ("stop", "length"),
}
"""LiteLLM's value and ours. Beside these: the signed form of thinking (`thinking_blocks` there, without `index`, which
openai-python can't join) and the `index` of whole calls (OpenAI has none)."""


@pytest.mark.real("litellm")
def test_litellm_makes_the_same_completions() -> None:
    theirs = dict(zip(CASES, litellms(), strict=True))
    ours = {name: (whole(case), stream(case)) for name, case in CASES.items()}
    found: dict[tuple[str, str], tuple[Any, Any]] = {}
    for name in CASES:
        for their, our in zip(map(told, theirs[name]), map(told, ours[name]), strict=True):
            found |= {(name, k): (their[k], our[k]) for k in our if their[k] != our[k]}
    assert found == DIFFERENCES


def whole(case: Json) -> Json:
    return completion(ChatAnswer("gpt-4o").whole(json.dumps(case).encode(), "r", 1))


def stream(case: Json) -> Json:
    return joined(written(streamed(case), ChatAnswer("gpt-4o", include_usage=True)))


def told(found: Json) -> Json:
    choice, usage = found["choices"][0], found["usage"]
    said = choice["message"]
    return {
        "finish_reason": choice["finish_reason"],
        "content": said["content"] or "",
        "reasoning": said.get("reasoning_content") or "",
        "calls": [
            (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in said.get("tool_calls") or ()
        ],
        "usage": [usage[f"{kind}_tokens"] for kind in ("prompt", "completion", "total")],
        "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
        "cache_write_tokens": usage["prompt_tokens_details"]["cache_write_tokens"],
        "reasoning_tokens": (usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
    }


def litellms() -> list[list[Json]]:
    given = [(case, [data for _, data in events(case)]) for case in CASES.values()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.openai.chat.litellm_answers"],
        input=json.dumps(given), capture_output=True, text=True, timeout=120,
        cwd=Path(__file__).parents[4],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[list[Json]] = json.loads(done.stdout)
    return found
