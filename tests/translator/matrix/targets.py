"""The targets of the matrix: a model of each provider, behind its look-alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.lookalikes.azure import Azure
from tests.lookalikes.bedrock import Bedrock
from tests.lookalikes.claude_clouds import AzureClaude
from tests.lookalikes.deepseek import DeepSeek
from tests.lookalikes.gemini import Gemini
from tests.lookalikes.groq import Groq
from tests.lookalikes.kimi import Kimi
from tests.lookalikes.minimax import MiniMax
from tests.lookalikes.mistral import Mistral
from tests.lookalikes.ollama import Ollama
from tests.lookalikes.openai_chat import OpenAIChat
from tests.lookalikes.openai_responses import OpenAIResponses
from tests.lookalikes.openrouter import OpenRouter
from tests.lookalikes.self_hosted import VLLM, LMStudio
from tests.lookalikes.server import Lookalike
from tests.lookalikes.vertex import VertexClaude, VertexGemini
from tests.lookalikes.xai import XAI
from tests.translator.matrix.row import Abilities


@dataclass(frozen=True)
class Target:
    """`provider` and `model` as in a configuration; `base` is what its baseUrl has behind the host."""

    provider: str
    model: str
    made: Callable[[], Lookalike]
    base: str = "/v1"
    api: str | None = None
    able: Abilities = field(default_factory=Abilities)


_REASONS = Abilities(links=True, stops=False, warms=False)
_CLAUDE = Abilities(links=True, claude=True, twice=True)
_BLIND = Abilities(sees=False)

TARGETS: Mapping[str, Target] = {
    "openai chat": Target("openai", "gpt-5", OpenAIChat, api="chat", able=_REASONS),
    "openai gpt-4o": Target("openai", "gpt-4o", OpenAIChat, api="chat", able=Abilities(links=True)),
    "openai responses": Target("openai", "gpt-5", OpenAIResponses, api="responses", able=_REASONS),
    "google-ai": Target("google-ai", "gemini-2.5-flash", Gemini, "/v1beta"),
    "gemini 3": Target("google-ai", "gemini-3-pro-preview", Gemini, "/v1beta"),
    "vertex": Target("vertex", "gemini-2.5-flash", VertexGemini, ""),
    "vertex claude": Target("vertex", "claude-sonnet-4-5@20250929", VertexClaude, "", able=_CLAUDE),
    "mistral": Target("mistral", "mistral-medium-latest", Mistral, able=Abilities(links=True)),
    "groq": Target("groq", "openai/gpt-oss-120b", Groq, "/openai/v1", able=_BLIND),
    "deepseek": Target("deepseek", "deepseek-chat", DeepSeek, "", able=_BLIND),
    "deepseek r": Target(
        "deepseek", "deepseek-reasoner", DeepSeek, "", able=Abilities(sees=False, forces=False)
    ),
    "deepseek r1": Target(
        "deepseek", "deepseek-reasoner", lambda: DeepSeek("never"), "",
        able=Abilities(sees=False, forces=False, twice=True),
    ),
    "deepseek v4": Target(
        "deepseek", "deepseek-v4-flash", lambda: DeepSeek("always"), "",
        able=Abilities(sees=False, forces=False),
    ),
    "openrouter": Target("openrouter", "openai/gpt-4o", OpenRouter, "/api/v1",
                         able=Abilities(links=True)),
    "moonshot": Target("moonshot", "kimi-k2-0905-preview", Kimi, able=Abilities(sees=False, forces=False)),
    "kimi k2.5": Target("moonshot", "kimi-k2.5", Kimi, able=Abilities(forces=False, warms=False)),
    "ollama": Target("ollama", "qwen3", Ollama, "", able=Abilities(forces=False)),
    "vllm": Target("openai", "qwen3", VLLM, api="chat"),
    "hosted vllm": Target("hosted_vllm", "qwen3", VLLM),
    "lm studio": Target("openai", "qwen3", LMStudio, api="chat"),
    "xai": Target("xai", "grok-4", XAI, able=Abilities(stops=False)),
    "minimax": Target("minimax", "MiniMax-M2", MiniMax, able=_BLIND),
    "azure": Target("azure", "gpt-4o", Azure, "", able=Abilities(links=True)),
    "azure claude": Target("azure_ai", "claude-sonnet-4-5", AzureClaude, "", able=_CLAUDE),
    "invoke claude": Target(
        "bedrock", "invoke/anthropic.claude-sonnet-4-5-20250929-v1:0", Bedrock, "", able=_CLAUDE
    ),
    "converse claude": Target(
        "bedrock", "converse/anthropic.claude-sonnet-4-5-20250929-v1:0", Bedrock, "", able=_CLAUDE
    ),
    "converse nova": Target("bedrock", "amazon.nova-pro-v1:0", Bedrock, "", able=Abilities(forces=False)),
}  # fmt: skip
