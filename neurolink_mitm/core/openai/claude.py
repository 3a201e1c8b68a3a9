"""Facts about Anthropic's models that decide how a request in OpenAI's form is translated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClaudeTraits:
    """What a model of Anthropic's takes."""

    max_output: int = 64_000
    """The largest `max_tokens`."""
    adaptive: bool = True
    """It takes `thinking: {"type": "adaptive"}` with `output_config.effort`."""
    budget: bool = True
    """It takes `thinking: {"type": "enabled", "budget_tokens": …}`."""
    efforts: tuple[str, ...] = ("low", "medium", "high")
    """Values of `output_config.effort`, ascending."""
    sampling: bool = True
    """It takes `temperature`, `top_p` and `top_k`."""
    structured: bool = True
    """It takes `output_config.format` with a JSON schema."""
    strict_tools: bool = True
    """It takes `strict` of a tool."""
