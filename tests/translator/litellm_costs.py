"""What LiteLLM says answers cost, in a process of its own: it takes seconds to import, and changes the process.

    python -m tests.translator.litellm_costs < cases.json

Reads a JSON list of [provider as LiteLLM names it, model, usage by the names of ours], prints a list of USD.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from litellm.litellm_core_utils.llm_cost_calc.utils import generic_cost_per_token
from litellm.llms.anthropic.cost_calculation import cost_per_token
from litellm.types.utils import CacheCreationTokenDetails, PromptTokensDetailsWrapper, Usage


def cost(provider: str, model: str, told: dict[str, Any]) -> float:
    written, written_1h = told["cache_creation_tokens"], told["cache_creation_1h_tokens"]
    read = told["cache_read_tokens"]
    prompt = told["input_tokens"] + written + read
    lifetimes = CacheCreationTokenDetails(
        ephemeral_5m_input_tokens=written - written_1h, ephemeral_1h_input_tokens=written_1h
    )
    usage = Usage(
        prompt_tokens=prompt,
        completion_tokens=told["output_tokens"],
        total_tokens=prompt + told["output_tokens"],
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=read,
            cache_creation_tokens=written,
            cache_creation_token_details=lifetimes,
        ),
        cache_creation_input_tokens=written,
        cache_read_input_tokens=read,
        **{name: told[name] for name in ("speed", "inference_geo") if told[name]},
    )
    if provider == "anthropic":
        return sum(cost_per_token(model, usage))
    return sum(generic_cost_per_token(model, usage, provider))


if __name__ == "__main__":
    json.dump([cost(*case) for case in json.load(sys.stdin)], sys.stdout)
