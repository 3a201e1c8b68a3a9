"""Rows that are not right, by target, and why not. Whoever mends one takes it out."""

from __future__ import annotations

from collections.abc import Mapping

_PUT_BACK = "LiteLLM itself puts a `reasoning_content` into the history where thinking is asked for"

OPEN: Mapping[str, Mapping[str, str]] = {
    # such a DeepSeek took no `thinking` either
    "deepseek r1": {
        "history: thinking goes on": _PUT_BACK,
        "rounds: thinking": _PUT_BACK,
        "rounds: thinking, then a new question": _PUT_BACK,
    },
}
