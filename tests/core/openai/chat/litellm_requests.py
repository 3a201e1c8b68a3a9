"""Run in a process of its own: Messages requests that LiteLLM makes of chat requests.

A JSON list of requests is read; a list of their bodies is written, a text for each that LiteLLM refuses.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from litellm.llms.anthropic.chat.transformation import AnthropicConfig
from litellm.utils import get_optional_params


def made(request: dict[str, Any]) -> Any:
    model, messages = request.pop("model"), request.pop("messages")
    try:
        options = get_optional_params(
            model, custom_llm_provider="anthropic", drop_params=True, messages=messages, **request
        )
        return AnthropicConfig().transform_request(model, messages, options, {}, {})
    except Exception as e:
        return f"{type(e).__name__}: {e}"


print(json.dumps([made(request) for request in json.load(sys.stdin)]))
