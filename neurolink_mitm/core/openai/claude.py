"""Facts about Anthropic's models that decide how a request in OpenAI's form is translated.

Sources, beside those at the rows: https://platform.claude.com/docs/en/about-claude/models/overview, "What's new" and
the migration guide of each model there, Claude Code's table of models, and LiteLLM's, which the tests compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

EFFORTS = ("low", "medium", "high", "xhigh", "max")
"""All values of `output_config.effort`, ascending."""


@dataclass(frozen=True, slots=True)
class ClaudeTraits:
    """What a model of Anthropic's takes. The defaults are those of a model that takes everything."""

    max_output: int = 128_000
    """The largest `max_tokens`."""
    adaptive: bool = True
    """It takes `thinking: {"type": "adaptive"}` with `output_config.effort`."""
    budget: bool = True
    """It takes `thinking: {"type": "enabled", "budget_tokens": …}`."""
    efforts: tuple[str, ...] = EFFORTS
    """Values of `output_config.effort`, ascending; none where the field is refused."""
    thinks_unasked: bool = False
    """It thinks where `thinking` is absent."""
    off: Literal["disabled", "between_tools", ""] = "disabled"
    """The type of `thinking` that switches it off; empty where nothing does. Efforts above `high` may refuse it."""
    thinks_when_forced: bool = False
    """It takes thinking together with a `tool_choice` that forces a call."""
    sampling: bool = True
    """It takes `temperature`, `top_p` and `top_k`."""
    both_sampling: bool = True
    """It takes `temperature` and `top_p` in one request."""
    prefill: bool = True
    """It takes an assistant message at the end, which the answer continues."""
    forced: bool = True
    """It takes a `tool_choice` that forces a call."""
    structured: bool = True
    """It takes `output_config.format` with a JSON schema."""
    strict_tools: bool = True
    """It takes `strict` of a tool."""

    @property
    def beta(self) -> bytes:
        """The value of `anthropic-beta` that it needs; empty for none."""
        return _EFFORT_BETA if self.efforts and not self.adaptive else b""


TraitsOf = Callable[[str], ClaudeTraits]
"""Returns the traits of the model that is asked for the client's. Raises `RequestError` where none is."""
_EFFORT_BETA = b"effort-2025-11-24"
"""Of Opus 4.5; newer models have effort without it. https://docs.litellm.ai/docs/providers/anthropic_effort"""


_OTHER = ClaudeTraits(
    max_output=1_000_000,
    efforts=("none", "minimal", *EFFORTS),
    thinks_unasked=True,
    off="",
    thinks_when_forced=True,
)
_Facts = Mapping[str, Any]
_OLD: _Facts = {
    "max_output": 8192, "adaptive": False, "budget": False, "efforts": (), "structured": False, "strict_tools": False
}  # fmt: skip
_STRUCTURED: _Facts = {"structured": True, "strict_tools": True}
_ADAPTIVE: _Facts = {"max_output": 128_000, "adaptive": True, "prefill": False}
_TABLE: tuple[tuple[str, tuple[int, int], _Facts], ...] = (
    # family (a pattern), the version from which it holds on, what changes; later rows go before
    (".*", (0, 0), _OLD),
    (".*", (3, 0), {"max_output": 4096}),
    (".*", (3, 5), {"max_output": 8192}),
    # https://platform.claude.com/docs/en/build-with-claude/extended-thinking#supported-models
    (".*", (3, 7), {"max_output": 64_000, "budget": True}),
    (".*", (4, 0), {"max_output": 64_000}),
    ("opus", (4, 0), {"max_output": 32_000}),
    # "`temperature` and `top_p` cannot both be specified for this model": https://github.com/BerriAI/litellm/issues/15097,
    # https://github.com/cloud-apim/otoroshi-llm-extension/issues/140
    (".*", (4, 1), {"both_sampling": False}),
    # https://platform.claude.com/docs/en/build-with-claude/structured-outputs
    (".*", (4, 5), {"max_output": 64_000, **_STRUCTURED}),
    # https://platform.claude.com/docs/en/build-with-claude/effort
    ("opus", (4, 5), {"efforts": ("low", "medium", "high")}),
    # https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking; no prefill, measured for Sonnet, too:
    # https://github.com/router-for-me/CLIProxyAPI/issues/5319
    (".*", (4, 6), {**_ADAPTIVE, "efforts": ("low", "medium", "high", "max")}),
    # https://platform.claude.com/docs/en/about-claude/models/migration-guide#migrating-to-claude-opus-4-7
    (".*", (4, 7), {"budget": False, "sampling": False, "efforts": EFFORTS}),
    # https://platform.claude.com/docs/en/build-with-claude/thinking
    (".*", (5, 0), {"thinks_unasked": True}),
    ("(?!opus|sonnet|haiku).*", (5, 0), {"off": "", "thinks_when_forced": True}),
    # "tool_choice: type \"tool\" and \"any\" are not supported for this model", "thinking.type.disabled" is not …:
    # https://platform.claude.com/docs/en/models/fable-5-1/whats-new-fable-5-1
    # https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5
    # https://platform.claude.com/docs/en/models/sonnet-5-5/whats-new-sonnet-5-5
    ("(?!opus|sonnet|haiku).*", (5, 1), {"forced": False}),
    ("opus", (5, 5), {"forced": False, "off": ""}),
    ("sonnet", (5, 5), {"forced": False, "off": "between_tools"}),
)  # fmt: skip

_NAME = re.compile(
    r"claude-(?:(?P<old>\d)(?:[-.](?P<old_minor>\d))?-)?(?P<family>[a-z]+)"
    r"(?:-(?P<major>\d{1,2})(?!\d)(?:[-.](?P<minor>\d{1,2})(?!\d))?)?"
)
"""`claude-opus-4-5-20251101`, `claude-3-7-sonnet-20250219`, also with a cloud's words around it."""
_NEWEST = (99, 0)
_PREVIEW = (5, 0)
"""`claude-mythos-preview` came before `claude-mythos-5`, and takes the same."""


@lru_cache(maxsize=256)
def claude_traits(model: str) -> ClaudeTraits:
    """Return what `model` takes. One that is not Claude takes everything: `core.providers.adapt` does the rest.

    An unknown Claude is taken for the newest: newer ones refuse what older ones take.
    """
    if "claude" not in model.lower():
        return _OTHER
    family, version = _family_and_version(model.lower())
    traits = ClaudeTraits()
    for families, since, facts in _TABLE:
        if version >= since and re.fullmatch(families, family):
            traits = replace(traits, **facts)
    return traits


def _family_and_version(model: str) -> tuple[str, tuple[int, int]]:
    if re.search(r"claude-(instant|v?[12]\b)", model):
        return "", (2, 0)
    match = _NAME.search(model)
    if match is None:
        return "", _NEWEST
    if match["old"]:
        return match["family"], (int(match["old"]), int(match["old_minor"] or 0))
    if match["major"]:
        return match["family"], (int(match["major"]), int(match["minor"] or 0))
    return match["family"], _PREVIEW if "preview" in model else _NEWEST
