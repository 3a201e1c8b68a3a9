from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.traits import Traits, traits

GPT, GEMINI = "gpt-5", "gemini-2.5-flash"
FACTS: dict[str, tuple[Traits, dict[str, Any]]] = {
    "openai": (traits("openai", GPT), {"api": "responses", "documents": True, "links": True,
                                       "own_thinking": "responses", "id_form": "forty", "most_tools": 128,
                                       "sampling": False, "stops": False, "efforts": ("low", "medium", "high")}),
    "one that does not think": (traits("openai", "gpt-4o"), {"reasons": False, "sampling": True, "efforts": ()}),
    "one that thinks hard": (traits("openai", "gpt-5.2", info={"supports_xhigh_reasoning_effort": True}),
                             {"efforts": ("low", "medium", "high", "xhigh")}),
    "one whose thinking can be off": (traits("google-ai", GEMINI), {"efforts": ("none", "low", "medium", "high")}),
    "one that always thinks": (traits("google-ai", "gemini-2.5-pro"), {"efforts": ("low", "medium", "high")}),
    "azure with responses": (traits("azure", GPT, api="responses"), {"api": "responses", "id_form": "forty"}),
    "openai by chat": (traits("openai", GPT, api="chat"),
                       {"api": "chat", "documents": True, "links": True, "stops": False}),
    "one that takes stops": (traits("openai", "gpt-4o", api="chat"), {"stops": True}),
    "grok": (traits("xai", "grok-4"), {"stops": False}),
    "a server of one's own": (traits("openai", "x", own_server=True), {"api": "chat", "documents": False}),
    "its tools": (traits("openai", "x", own_server=True), {"choices": frozenset({"none", "any"}), "most_tools": None}),
    "one with OpenAI's models": (traits("openai", GPT, own_server=True), {
        "choices": frozenset({"none", "any", "tool"})}),
    "one with responses": (traits("openai", "x", api="responses", own_server=True), {"api": "responses"}),
    "azure": (traits("azure", GPT), {"api": "chat", "links": True, "documents": False}),
    "google-ai": (traits("google-ai", GEMINI), {"documents": True, "links": False, "schema": "gemini"}),
    "by LiteLLM's name": (traits("gemini", GEMINI), {"documents": True, "schema": "gemini"}),
    "claude on vertex": (traits("vertex", "claude-opus-4-5"), {"documents": True, "schema": "json-schema"}),
    "mistral": (traits("mistral", "mistral-large-latest"), {"id_form": "nine", "documents": False}),
    "mistral's model elsewhere": (traits("openrouter", "mistralai/Devstral-small"), {"id_form": "nine"}),
    "gemini that takes no ids": (traits("google-ai", GEMINI), {"twin_calls": False}),
    "gemini with ids": (traits("vertex", "gemini-3-pro-preview"), {"twin_calls": True}),
    "kimi": (traits("moonshot", "kimi-k2.5"), {"id_form": "counted"}),
    "kimi elsewhere": (traits("groq", "moonshotai/Kimi-K2-Instruct"), {"id_form": "counted"}),
    "kimi on bedrock, which takes no dots": (traits("bedrock", "moonshot.kimi-k2-thinking"), {"id_form": "forty"}),
    "kimi without ids": (traits("moonshot", "kimi-k3"), {"id_form": "forty"}),
    "ollama": (traits("ollama", "qwen3"), {"choices": frozenset(), "documents": False}),
    "text only": (traits("deepseek", "deepseek-chat"), {"images": False}),
    "text only but for one": (traits("groq", "meta/llama-4", info={"supports_vision": True}), {"images": True}),
    "an old kimi": (traits("moonshot", "kimi-k2-turbo-preview"), {"images": False}),
    "a new one": (traits("moonshot", "kimi-k2.5"), {"images": True}),
    "a coder": (traits("mistral", "codestral-2508"), {"images": False}),
    "a seeing mistral": (traits("mistral", "mistral-medium-2508"), {"images": True}),
    "grok 3": (traits("xai", "grok-3-mini"), {"images": False}),
    "grok 4": (traits("xai", "grok-4"), {"images": True}),
    "gemini's tools": (traits("google-ai", GEMINI), {"most_tools": 512, "format_with_tools": False, "most_stops": 5}),
    "gemini 3": (traits("vertex", "gemini-3-pro"), {"format_with_tools": True}),
    "claude on bedrock": (traits("bedrock", "us.anthropic.claude-opus-4-5-v1:0"), {
        "choices": frozenset({"any", "tool"}), "tools_with_calls": True, "thinks_when_forced": False}),
    "another on bedrock": (traits("bedrock", "us.meta.llama3"), {"choices": frozenset(), "tools_with_calls": True}),
    "claude on azure": (traits("azure_ai", "claude-sonnet-4-5"), {
        "one_call": True, "temperature_or_top_p": True, "documents": True}),
    "a newer claude on bedrock": (traits("bedrock", "us.anthropic.claude-opus-4-8"), {
        "sampling": False, "top_k": False}),
    "kimi's tools": (traits("moonshot", "kimi-k2.6"), {
        "schema": "typed", "choices": frozenset({"none"}), "sampling": False}),
    "deepseek": (traits("deepseek", "deepseek-v4-pro"), {"choices": frozenset({"none"}), "formats": "words"}),
    "deepseek that does not think": (traits("deepseek", "deepseek-chat"), {
        "choices": frozenset({"none", "any", "tool"})}),
    "LM Studio": (traits("lm_studio", "x"), {"choices": frozenset({"none", "any"})}),
    "any other": (traits("together_ai", "x"), {"api": "chat", "documents": False, "links": False}),
    "without PDFs": (traits("bedrock", "x", info={"supports_pdf_input": False}), {"documents": False}),
    "without a word of PDFs": (traits("bedrock", "x", info={"supports_pdf_input": None}), {"documents": True}),
    "PDFs where LiteLLM can't send them": (traits("groq", "x", info={"supports_pdf_input": True}),
                                           {"documents": False}),
    "a limit": (traits("groq", "x", info={"max_output_tokens": 8}), {"output_limit": 8}),
    "none": (traits("groq", "x", info={"max_output_tokens": None}), {"output_limit": None}),
}  # fmt: skip


@pytest.mark.parametrize(("found", "facts"), FACTS.values(), ids=FACTS)
def test_what_a_model_takes(found: Traits, facts: dict[str, Any]) -> None:
    assert {name: getattr(found, name) for name in facts} == facts
