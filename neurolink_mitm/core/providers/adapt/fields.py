"""Adapts the fields that say how an answer is made: sampling, stop sequences, and the form of the answer."""

from __future__ import annotations

import json

from neurolink_mitm.core.providers.adapt.form import Json, UnsupportedError, members
from neurolink_mitm.core.providers.traits import Traits


def sample(adapted: Json, traits: Traits) -> None:
    """Leave out `temperature`, `top_p` and `top_k` where the model refuses them."""
    if not traits.sampling:
        adapted.pop("temperature", None)
        adapted.pop("top_p", None)
    if not (traits.sampling and traits.top_k):
        adapted.pop("top_k", None)
    if "temperature" in adapted:
        adapted["temperature"] = max(adapted["temperature"], traits.least_temperature)
        if traits.temperature_or_top_p:
            adapted.pop("top_p", None)


def stop(adapted: Json, traits: Traits) -> None:
    """Keep the stop sequences that say something, and no more than the provider takes."""
    given = adapted.pop("stop_sequences", None) or ()
    kept = list(dict.fromkeys(each for each in given if each.strip()))
    if kept:
        adapted["stop_sequences"] = kept[: traits.most_stops]


def form(adapted: Json, request: Json, traits: Traits) -> list[str]:
    """Set the form of the answer (`output_config.format`, before that `output_format`), or return words for it.

    Raises:
        UnsupportedError: the form has no schema.
    """
    wanted = members(request.get("output_config")).get("format") or request.get("output_format")
    if members(wanted).get("type") != "json_schema":
        return []
    schema = members(wanted).get("schema")
    if not isinstance(schema, dict):
        raise UnsupportedError("output_config.format.schema: must be a JSON object")
    if traits.formats == "schema" and (traits.format_with_tools or not adapted.get("tools")):
        config = members(adapted.get("output_config"))
        adapted["output_config"] = {**config, "format": {"type": "json_schema", "schema": schema}}
        return []
    when = "When you call no tool, answer" if adapted.get("tools") else "Answer"
    text = json.dumps(schema, ensure_ascii=False)
    return [f"{when} with nothing but JSON that this JSON Schema describes, no code fence: {text}"]
