"""https://docs.anthropic.com/en/api/models-list"""

from typing import Any

from neurolink_mitm.sandbox.errors import ApiError

MODELS = {
    "claude-opus-4-6": "Claude Opus 4.6",
    "claude-sonnet-4-6": "Claude Sonnet 4.6",
    "claude-haiku-4-5-20251001": "Claude Haiku 4.5",
    "claude-sonnet-4-5-20250929": "Claude Sonnet 4.5",
    "claude-opus-4-1-20250805": "Claude Opus 4.1",
    "claude-opus-4-20250514": "Claude Opus 4",
}

CREATED_AT = "2025-10-01T00:00:00Z"


def model_list() -> dict[str, Any]:
    ids = list(MODELS)
    data = [model(model_id) for model_id in ids]
    return {"data": data, "has_more": False, "first_id": ids[0], "last_id": ids[-1]}


def model(model_id: str) -> dict[str, Any]:
    """Raises ApiError."""
    if model_id not in MODELS:
        raise ApiError(404, f"model: {model_id}")
    return {
        "type": "model",
        "id": model_id,
        "display_name": MODELS[model_id],
        "created_at": CREATED_AT,
    }
