"""Rows about all the other fields of a request."""

from __future__ import annotations

from tests.translator.matrix.row import READ, Abilities, Json, Row, says, text

FORM: Json = {
    "type": "object",
    "properties": {"FORM": {"type": "string"}},
    "required": ["FORM"],
    "additionalProperties": False,
}
LOOSE: Json = {
    "type": "object",
    "properties": {"FORM": {"type": "string"}, "more": {"type": "integer"}},
}
THINK: Json = {"type": "enabled", "budget_tokens": 2000}


def _formed(able: Abilities, body: Json) -> str | None:
    return None if "FORM" in str(body) else "the form is missing"


def _warm(able: Abilities, body: Json) -> str | None:
    return None if not able.warms or "0.5" in str(body) else "the temperature is missing"


def _halts(able: Abilities, body: Json) -> str | None:
    return None if not able.stops or "HALT" in str(body) else "the stop sequence is missing"


LIMITS = (
    Row("max_tokens: 1", {"max_tokens": 1}, ("ASKED",)),
    Row("max_tokens: 32000", {"max_tokens": 32_000}, ("ASKED",)),
    Row("max_tokens: 200000", {"max_tokens": 200_000}, ("ASKED",)),
    Row("stop: one", {"stop_sequences": ["HALT"]}, ("ASKED",), check=_halts),
    Row("stop: five", {"stop_sequences": [f"HALT{i}" for i in range(5)]}, ("ASKED",), check=_halts),
    Row("stop: none", {"stop_sequences": []}, ("ASKED",)),
    Row("stop: blank ones", {"stop_sequences": ["\n\n", "HALT"]}, ("ASKED",), check=_halts),
    Row("temperature: 0", {"temperature": 0}, ("ASKED",)),
    Row("temperature: 0.5", {"temperature": 0.5}, ("ASKED",), check=_warm),
    Row("temperature: 1", {"temperature": 1}, ("ASKED",)),
    Row("top_p: 0.9", {"top_p": 0.9}, ("ASKED",)),
    Row("top_k: 17", {"top_k": 17}, ("ASKED",)),
    Row("all three", {"temperature": 1, "top_p": 1, "top_k": 17}, ("ASKED",)),
)

THINKING = (
    Row("thinking: a budget", {"thinking": THINK}, ("ASKED",)),
    Row("thinking: a large budget", {"thinking": {**THINK, "budget_tokens": 31_999}, "max_tokens": 32_000}, ("ASKED",)),
    Row("thinking: a budget beyond max_tokens", {"thinking": {**THINK, "budget_tokens": 9999}}, ("ASKED",)),
    Row("thinking: adaptive", {"thinking": {"type": "adaptive"}}, ("ASKED",)),
    Row("thinking: adaptive, told", {"thinking": {"type": "adaptive", "display": "summarized"}}, ("ASKED",)),
    Row("thinking: disabled", {"thinking": {"type": "disabled"}}, ("ASKED",)),
    Row("thinking: with tools", {"thinking": THINK, "tools": [READ]}, ("Read",)),
    Row("thinking: with a temperature", {"thinking": THINK, "temperature": 1}, ("ASKED",)),
    *(
        Row(f"effort: {effort}", {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}}, ("ASKED",))
        for effort in ("low", "medium", "high", "xhigh", "max")
    ),
    Row("effort: without thinking", {"output_config": {"effort": "low"}}, ("ASKED",)),
    Row("effort: of tomorrow", {"output_config": {"effort": "stellar"}}, ("ASKED",)),
)  # fmt: skip

FORMS = (
    Row("form: output_config.format", {"output_config": {"format": {"type": "json_schema", "schema": FORM}}},
        ("ASKED",), check=_formed),
    Row("form: output_format", {"output_format": {"type": "json_schema", "schema": FORM}}, ("ASKED",), check=_formed),
    Row("form: a loose one", {"output_config": {"format": {"type": "json_schema", "schema": LOOSE}}}, ("ASKED",),
        check=_formed),
    Row("form: beside tools", {"output_config": {"format": {"type": "json_schema", "schema": FORM}}, "tools": [READ]},
        ("Read",), check=_formed),
    Row("form: with an effort", {"output_config": {"format": {"type": "json_schema", "schema": FORM},
        "effort": "low"}, "thinking": {"type": "adaptive"}}, ("ASKED",), check=_formed),
)  # fmt: skip

OTHERS = (
    Row("metadata", {"metadata": {"user_id": "user_" + "a" * 150}}, ("ASKED",), ("user_aaa",)),
    Row("betas", {"betas": ["context-1m-2025-08-07"]}, ("ASKED",), ("context-1m",)),
    Row("service_tier", {"service_tier": "standard_only"}, ("ASKED",), ("standard_only",)),
    Row("context_management", {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, ("ASKED",),
        ("clear_tool_uses",)),
    Row("mcp_servers", {"mcp_servers": [{"type": "url", "url": "https://mcp.test", "name": "x",
        "authorization_token": "MCPTOKEN"}], "tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]},
        ("ASKED",), ("MCPTOKEN", "mcp.test")),
    Row("container", {"container": "container_1"}, ("ASKED",), ("container_1",)),
    Row("a mark at the top", {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, ("ASKED",), ("ephemeral",)),
    Row("speed, place", {"speed": "fast", "inference_geo": "eu"}, ("ASKED",), ("inference_geo", '"fast"')),
    Row("a field of tomorrow", {"hologram": {"a": 1}}, ("ASKED",), ("hologram",)),
    Row("all that Claude Code sends", {
        **says(text("ASKED", cache_control={"type": "ephemeral"})),
        "system": [text("x-anthropic-billing-header: cc_version=2"),
                   text("SYSTEM", cache_control={"type": "ephemeral"})],
        "tools": [READ], "metadata": {"user_id": "user_aaa"}, "max_tokens": 32_000,
        "thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}, "temperature": 1,
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
        ("ASKED", "SYSTEM", "Read"), ("cache_control", "user_aaa", "clear_thinking")),
)  # fmt: skip

ROWS = (*LIMITS, *THINKING, *FORMS, *OTHERS)
