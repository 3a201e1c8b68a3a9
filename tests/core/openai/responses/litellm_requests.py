"""Run in a process of its own: chat requests that LiteLLM makes of responses requests.

A JSON list of requests is read; a list of requests is written, or of the names of exceptions.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from litellm.responses.litellm_completion_transformation.transformation import (
    LiteLLMCompletionResponsesConfig as Config,
)


def chat_request(request: dict[str, Any]) -> Any:
    rest = {name: value for name, value in request.items() if name not in ("model", "input")}
    try:
        made = Config.transform_responses_api_request_to_chat_completion_request(
            request["model"], request["input"], rest
        )
    except Exception as e:
        return type(e).__name__
    messages = [m if isinstance(m, dict) else m.model_dump() for m in made["messages"]]
    return {**made, "messages": messages}


print(json.dumps([chat_request(each) for each in json.load(sys.stdin)], default=dict))
