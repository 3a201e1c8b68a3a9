"""Changes a request in OpenAI's chat form so that a provider takes it that has refused it.

What a model takes can't be known of servers of one's own, of models that are newer than this, and of what providers
report one way and do another. It is only done for what a request can do without.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from neurolink_mitm.core.providers.chat.thoughts import PLACEHOLDER
from neurolink_mitm.core.providers.too_long import ANTHROPICS

Json = dict[str, Any]

_SPARED: tuple[tuple[str, tuple[str, ...]], ...] = (
    # what the error names, and the arguments that go
    (r"reasoning_?effort|\bthinking\b|\bthink\b|\breasoning\b", ("reasoning_effort", "thinking")),
    (r"parallel_tool_calls", ("parallel_tool_calls",)),
    (r"tool_choice|tool choice", ("tool_choice",)),
    (r"stream_options|include_usage", ("stream_options",)),
    (r"top_?k\b", ("top_k",)),
    (r"temperature", ("temperature",)),
    (r"top_?p\b", ("top_p",)),
    (r"\bstop\b", ("stop",)),
)
_REFUSED = re.compile(
    r"not support|unsupported|not (?:a )?(?:valid|allowed|permitted|recogni[sz]ed|available)|unrecogni[sz]ed|unknown"
    r"|extra (?:inputs|fields)|invalid|incompatible|unexpected",
    re.IGNORECASE,
)
_MISSING = re.compile(r"missing|must be (?:passed|provided)|required", re.IGNORECASE)
_SIGNATURE = re.compile(r"signature.{0,40}thinking|thinking.{0,40}signature", re.IGNORECASE)
"""Claude's, of thinking that it does not know as its own."""
_LIMIT_NAMED = re.compile(
    r"max_?(?:completion_?|output_?)?tokens|maximum tokens you|in the (?:completion|output)",
    re.IGNORECASE,
)
_LIMIT_TOO_HIGH = re.compile(
    r"too (?:large|high)|exceed|(?:valid|supported) range|less than or equal|at most"
    r"|maximum (?:value|allowed|context)",
    re.IGNORECASE,
)
"""With the one before, of a limit that is above the model's, or above what the prompt leaves of its context:
https://github.com/vllm-project/vllm/issues/20409, https://github.com/stepfun-ai/Step-Audio-R1/issues/3 (vLLM),
https://github.com/deepseek-ai/DeepSeek-V3/issues/69, https://github.com/skapadia3214/groq-moa/issues/8
"""
_READ = 4_000
"""Characters of an error that are looked at."""


def without_refused(arguments: Json, text: str) -> Json | None:
    """Return the arguments without what the provider's error complains of; None if that can't be left out."""
    text = text[:_READ]
    if _SIGNATURE.search(text):
        return _unthought(arguments)
    if _is_limit_too_high(text):
        return _without(arguments, ("max_tokens",))
    if "reasoning_content" in text:
        return _thoughts(arguments, add=bool(_MISSING.search(text)))
    if not _REFUSED.search(text):
        return None
    for named, names in _SPARED:
        if re.search(named, text, re.IGNORECASE) and (less := _without(arguments, names)):
            return less
    return None


def lasting(text: str) -> bool:
    """Tell whether the error is of what the model refuses always, not of this one conversation."""
    text = text[:_READ]
    of_this_one = _SIGNATURE.search(text) or _is_limit_too_high(text)
    return bool(_REFUSED.search(text)) and not of_this_one


def _is_limit_too_high(text: str) -> bool:
    """Tell whether the error is of the limit of tokens. What Claude says is for the client to mend."""
    if ANTHROPICS.search(text):
        return False
    return bool(_LIMIT_NAMED.search(text) and _LIMIT_TOO_HIGH.search(text))


def _without(arguments: Json, names: tuple[str, ...]) -> Json | None:
    """Return the arguments without `names`; None if there are none of them."""
    left = {name: value for name, value in arguments.items() if name not in names}
    return left if len(left) < len(arguments) else None


def _unthought(arguments: Json) -> Json | None:
    """Return the arguments without Claude's thinking in the history, and so without more of it in a round of tools."""
    messages = [
        {name: value for name, value in each.items() if name != "thinking_blocks"}
        for each in arguments["messages"]
    ]
    if messages == arguments["messages"]:
        return None
    gone = ("thinking", "reasoning_effort") if messages[-1]["role"] == "tool" else ()
    left = {name: value for name, value in arguments.items() if name not in gone}
    return {**left, "messages": messages}


def _thoughts(arguments: Json, *, add: bool) -> Json | None:
    """Return the arguments with thinking in all of the assistant's messages, or in none."""
    change: Callable[[Json], Json] = _with_thoughts if add else _without_thoughts
    messages = [
        change(each) if each["role"] == "assistant" else each for each in arguments["messages"]
    ]
    return None if messages == arguments["messages"] else {**arguments, "messages": messages}


def _with_thoughts(message: Json) -> Json:
    return {"reasoning_content": PLACEHOLDER, **message}


def _without_thoughts(message: Json) -> Json:
    return {name: value for name, value in message.items() if name != "reasoning_content"}
