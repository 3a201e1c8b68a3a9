"""Rows that are not right, by target, and why not. Whoever mends one takes it out."""

from __future__ import annotations

from collections.abc import Mapping

_PUT_BACK = "LiteLLM itself puts a `reasoning_content` into the history where thinking is asked for"

OPEN: Mapping[str, Mapping[str, str]] = {
    "invoke claude": {
        "choice: none, in a round of tools": "no `tool_choice` arrives, and the tools have to",
        "effort: of tomorrow": "LiteLLM makes a budget of it that is larger than max_tokens",
    },
    # such a DeepSeek took no `thinking` either
    "deepseek r1": {
        "history: thinking goes on": _PUT_BACK,
        "rounds: thinking": _PUT_BACK,
        "rounds: thinking, then a new question": _PUT_BACK,
    },
}
