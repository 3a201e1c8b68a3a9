"""Lets LiteLLM ask Claude on Vertex AI without `google-cloud-aiplatform`.

LiteLLM imports `vertexai` before it asks there, and uses nothing of it: it looks whether the module is
recent (llms/vertex_ai/vertex_ai_partner_models/main.py). The package takes hundreds of megabytes.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

NAME = "vertexai"


def stand_in() -> None:
    """Put an empty module in the place of `vertexai`, if it is not installed."""
    if NAME in sys.modules or find_spec(NAME) is not None:
        return
    module: Any = ModuleType(NAME, __doc__)
    module.preview = None  # what LiteLLM looks for
    sys.modules[NAME] = module
