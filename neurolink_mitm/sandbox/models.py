"""https://platform.claude.com/docs/en/api/models-list"""

from typing import Any

from neurolink_mitm.core.models import CLAUDE, Model
from neurolink_mitm.sandbox.errors import ApiError

MODELS = {model.id: model for model in CLAUDE}


def model_list() -> dict[str, Any]:
    data = [_entry(model) for model in CLAUDE]
    return {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}


def model(model_id: str) -> dict[str, Any]:
    """Raises ApiError."""
    if model_id not in MODELS:
        raise ApiError(404, f"model: {model_id}")
    return _entry(MODELS[model_id])


def _entry(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name,
        "created_at": model.created_at,
    }
