"""Writes the peers' configurations, as their documentation says: each target behind its look-alike.

https://docs.litellm.ai/docs/proxy/configs
https://github.com/musistudio/claude-code-router
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurolink_mitm.core.providers.catalog import litellm_name
from tests.translator.matrix.targets import Target
from tests.translator.running import KEY

Json = dict[str, Any]

_TRANSFORMERS: Mapping[str, tuple[str, str]] = {
    # the transformer, and what stands behind the target's address
    "openai chat": ("maxcompletiontokens", "/chat/completions"),
    "openai responses": ("openai-responses", "/responses"),
    "google-ai": ("gemini", "/models/"),
    "mistral": ("", "/chat/completions"),
    "groq": ("groq", "/chat/completions"),
    "deepseek": ("deepseek", "/chat/completions"),
    "openrouter": ("openrouter", "/chat/completions"),
    "moonshot": ("", "/chat/completions"),
    "minimax": ("", "/chat/completions"),
    "xai": ("", "/chat/completions"),
    "hosted_vllm": ("", "/chat/completions"),
}
"""By provider (and way, for `openai`): those that claude-code-router has a way to."""


def litellm_config(targets: Mapping[str, tuple[Target, str]]) -> Json:
    """Return LiteLLM's configuration. `targets` are by name, each with the address of its look-alike."""
    models = [{"model_name": name, "litellm_params": _litellm(target, url)}
              for name, (target, url) in targets.items()]  # fmt: skip
    return {
        "model_list": models,
        "litellm_settings": {"drop_params": True, "num_retries": 0, "telemetry": False},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }


def _litellm(target: Target, url: str) -> Json:
    name = litellm_name(target.provider, target.model)
    if target.provider == "openai" and target.api == "chat":
        # as its documentation says for servers that are like OpenAI's, which have no Responses API
        name = f"openai/chat_completions/{target.model}"
    return {"model": name, "api_base": url + target.base, "api_key": KEY}


def router_config(targets: Mapping[str, tuple[Target, str]], port: int) -> Json:
    """Return claude-code-router's configuration, with the targets that it has a way to."""
    providers = [
        each for name, (target, url) in targets.items() if (each := _router(name, target, url))
    ]
    default = f"{providers[0]['name']},{providers[0]['models'][0]}" if providers else ""
    return {
        "HOST": "127.0.0.1",
        "PORT": port,
        "APIKEY": KEY,
        "LOG": False,
        "NON_INTERACTIVE_MODE": True,
        "Providers": providers,
        "Router": {"default": default},
    }


def _router(name: str, target: Target, url: str) -> Json | None:
    way = _TRANSFORMERS.get(way_of(target))
    if way is None:
        return None
    transformer, path = way
    use: Json = {"transformer": {"use": [transformer]}} if transformer else {}
    address = url + target.base + path
    return {
        "name": routed(name),
        "api_base_url": address,
        "api_key": KEY,
        "models": [target.model],
        **use,
    }


def way_of(target: Target) -> str:
    """Return the provider, and for `openai` the way to it."""
    return f"openai {target.api}" if target.provider == "openai" else target.provider


def routed(name: str) -> str:
    """Return a target's name as claude-code-router takes it: a comma separates it from the model."""
    return name.replace(" ", "-").replace(",", "-")


def has_way(target: Target) -> bool:
    """Tell whether claude-code-router has a way to the target."""
    return way_of(target) in _TRANSFORMERS
