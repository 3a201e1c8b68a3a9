"""The settings that point other tools at the proxy, in the form of each tool: lines of a shell, or its own file.

JSON's strings are strings of TOML and of YAML, too.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neurolink_mitm.core.cost.prices import Price

TOOLS = ("claude-code", "openai", "codex", "aider", "continue", "cursor")
KEY_VARIABLE = "OPENAI_API_KEY"
NO_KEY = "sk-nl-no-key-is-needed-here"
"""Key for tools that send nothing without one, where callers need none: log redaction knows its form."""
CONTEXT = 200_000
"""Tokens of context that all models of Anthropic's have; some have a million."""
_OUTPUT = 32_000
"""Tokens of an answer; what the proxy asks for where the tool names no number."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a tool is given. `url` ends in `/v1`; `note` says what has to be put in the place of `key`, if anything."""

    url: str
    key: str
    note: str
    model: str
    small_model: str
    """For commit messages and the like."""
    embeddings: str | None = None


def export(shell: str, variables: Mapping[str, str]) -> str:
    form = "set -gx {} {};" if shell == "fish" else "export {}={}"
    return "".join(
        f"{form.format(name, shlex.quote(value))}\n" for name, value in variables.items()
    )


def openai(to: Settings) -> dict[str, str]:
    """Return the variables of OpenAI's libraries, and the older one that some tools still read."""
    variables = {"OPENAI_BASE_URL": to.url, "OPENAI_API_BASE": to.url}
    return variables if to.note else {**variables, KEY_VARIABLE: to.key}


def codex(to: Settings, shell: str) -> str:
    """Return lines of Codex's `config.toml`. https://developers.openai.com/codex/config-reference

    Codex doesn't know Claude's context, and its `web_search` runs on OpenAI's servers.
    """
    command = export(shell, {KEY_VARIABLE: to.key}).strip()
    return f"""\
# ~/.codex/config.toml: the lines before the [table] go before the first one of your file.
# In the shell: {command}
{_comment(to)}model = {_text(to.model)}
model_provider = "neurolink"
model_context_window = {CONTEXT}
web_search = "disabled"

[model_providers.neurolink]
name = "NeuroLink"
base_url = {_text(to.url)}
env_key = "{KEY_VARIABLE}"
wire_api = "responses"
"""


def aider(to: Settings, metadata: str) -> str:
    """Return Aider's `.aider.conf.yml`; `metadata` is the path of `aider_models`, which Aider reads from a file only.

    https://aider.chat/docs/config/aider_conf.html
    """
    return f"""\
# ~/.aider.conf.yml, or .aider.conf.yml in a repository
{_comment(to)}openai-api-base: {_text(to.url)}
openai-api-key: {_text(to.key)}
model: {_text(_litellm(to.model))}
weak-model: {_text(_litellm(to.small_model))}
edit-format: diff
model-metadata-file: {_text(metadata)}
"""


def aider_models(prices: Mapping[str, Price | None]) -> str:
    """Return Aider's model metadata, without which it warns and asks GitHub; `prices` by model.

    https://aider.chat/docs/config/adv-model-settings.html
    """
    return json.dumps({_litellm(name): _metadata(price) for name, price in prices.items()}) + "\n"


def _metadata(price: Price | None) -> dict[str, object]:
    facts: dict[str, object] = {
        "litellm_provider": "openai", "mode": "chat", "supports_vision": True,
        "max_input_tokens": CONTEXT, "max_output_tokens": _OUTPUT, "max_tokens": _OUTPUT,
    }  # fmt: skip
    if price:
        facts["input_cost_per_token"] = price.input / 1e6
        facts["output_cost_per_token"] = price.output / 1e6
    return facts


def continue_(to: Settings) -> str:
    """Return Continue's `config.yaml`. https://docs.continue.dev/reference"""
    models = [_continue_model(to, to.model, ("chat", "edit", "apply"), tools=True)]
    models.append(_continue_model(to, to.small_model, ("summarize",), tools=True))
    if to.embeddings:
        models.append(_continue_model(to, to.embeddings, ("embed",), tools=False))
    return f"""\
# ~/.continue/config.yaml
{_comment(to)}name: NeuroLink
version: 0.0.1
schema: v1
models:
{"".join(models)}"""


def _continue_model(to: Settings, model: str, roles: Iterable[str], *, tools: bool) -> str:
    lines = [
        f"  - name: {_text(model)}",
        "    provider: openai",
        f"    model: {_text(model)}",
        f"    apiBase: {_text(to.url)}",
        f"    apiKey: {_text(to.key)}",
        f"    roles: [{', '.join(roles)}]",
    ]
    if tools:
        lines += [
            "    capabilities: [tool_use, image_input]",
            "    defaultCompletionOptions:",
            f"      contextLength: {CONTEXT}",
            f"      maxTokens: {_OUTPUT}",
        ]
    return "".join(f"{line}\n" for line in lines)


def cursor(to: Settings, port: int) -> str:
    """Return what to do for Cursor, which has no file for it. https://cursor.com/help/models-and-usage/api-keys"""
    return f"""\
Cursor can't use the address of this machine: your requests go to Cursor's servers, and these call the address in its
settings. It needs a public HTTPS address and, since everybody can call that one, a client key:

1. neurolink clients add cursor
   From then on all callers of this proxy need a key.
2. A tunnel that ends at port {port} of this machine, with an address of it as the Host header:
   cloudflared tunnel --url http://localhost:{port} --http-host-header localhost
3. A name for Cursor's model in proxy-config.yaml, since names with "claude" it may send to Anthropic itself:
   routing: {{model-mappings: [{{from: my-cursor, to: {to.model}}}]}}
4. Cursor Settings, Models, API Keys:
   OpenAI API Key            the key of step 1
   Override OpenAI Base URL  https://<the tunnel's name>/v1
   and add the model my-cursor

Cursor's servers then see your prompts and the answers, as they do without this proxy.
"""


def _litellm(model: str) -> str:
    """Return the name of `model` in LiteLLM, on which Aider is built."""
    return f"openai/{model}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _comment(to: Settings) -> str:
    return f"# {to.key} has to be {to.note}\n" if to.note else ""
