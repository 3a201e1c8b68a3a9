"""Names of providers in the configuration: which there are, which mean the same, and what a wrong one may mean."""

from __future__ import annotations

from difflib import get_close_matches

from neurolink_mitm.core.providers.catalog import PROVIDERS

LITELLM = frozenset(
    """
a2a a2a_agent ai21 ai21_chat aiml aiohttp_openai amazon_nova anthropic anthropic_text apertis
assemblyai auto_router aws_polly azure azure_ai azure_text baseten bedrock bedrock_mantle
black_forest_labs bytez cerebras charity_engine chatgpt chutes clarifai cloudflare codestral
cognition cohere cohere_chat cometapi compactifai cursor custom custom_openai darkbloom
dashscope databricks datarobot deepgram deepinfra deepseek docker_model_runner dotprompt
elevenlabs empower fal_ai featherless_ai fireworks_ai friendliai galadriel gdc gemini gigachat
github github_copilot gradient_ai groq helicone heroku hosted_vllm huggingface humanloop
hyperbolic inception infinity jina_ai lambda_ai langflow langfuse langgraph lemonade libertai
litellm_agent litellm_proxy llamafile lm_studio manus maritalk meta meta_llama milvus minimax
mistral modelscope mongodb moonshot morph nano-gpt nebius neosantara nlp_cloud novita nscale
nvidia_nim nvidia_riva oci ollama ollama_chat oobabooga openai openai_like openrouter ovhcloud
parasail perplexity petals pg_vector pinstripes poe predibase publicai qwen_ai_platform
qwencloud ragflow recraft reducto replicate runwayml s3_vectors sagemaker sagemaker_chat
sagemaker_nova sambanova sap scaleway scx-ai snowflake soniox stability synthetic tencent
tensormesh text-completion-codestral text-completion-inception text-completion-openai
together_ai topaz triton v0 valkey vercel_ai_gateway vertex_ai vertex_ai_beta vllm volcengine
voyage wandb watsonx watsonx_text xai xiaomi_mimo xinference zai
    """.split()  # noqa: SIM905 - 155 lines otherwise
)
"""LiteLLM's own names: LiteLLM takes seconds to import. A test compares them with the installed one."""


ALIASES = {
    "gemini": "google-ai",
    "google-ai-studio": "google-ai",
    "vertex-ai": "vertex",
    "ollama-chat": "ollama",
    "kimi": "moonshot",
    "grok": "xai",
    "lmstudio": "lm_studio",
    "vllm": "hosted_vllm",
    "together": "together_ai",
    "fireworks": "fireworks_ai",
    "nvidia": "nvidia_nim",
    "amazon-bedrock": "bedrock",
    "azure-openai": "azure",
    "azure-foundry": "azure_ai",
}
"""Other names of a provider, with hyphens: LiteLLM's own, and those of its product. LiteLLM's `vllm` is a library that
runs models in its own process; a server is `hosted_vllm`."""
MEANT = {
    "gpt": "openai",
    "chat-gpt": "openai",
    "google": "google-ai",
    "aws": "bedrock",
    "llama": "ollama",
    "llama-cpp": "openai",
    "llama.cpp": "openai",
    "zhipu": "zai",
    "glm": "zai",
    "qwen": "dashscope",
    "alibaba": "dashscope",
}
"""What a name that is no provider's may mean, where the spelling does not tell."""
OURS = frozenset({"anthropic", "anthropic-text", "claude"})
"""Names of Anthropic, whose accounts are the pool."""

NO_CHAT = frozenset(
    """
a2a_agent assemblyai auto_router aws_polly black_forest_labs cursor deepgram dotprompt elevenlabs
fal_ai humanloop infinity jina_ai langfuse litellm_agent milvus mongodb nvidia_riva pg_vector recraft
reducto runwayml s3_vectors soniox stability topaz valkey voyage
    """.split()  # noqa: SIM905 - as above
)
"""LiteLLM's names of services without models that answer messages: search, pictures, speech, stores of vectors."""

_HYPHENED = {
    name.replace("_", "-"): name for name in (*PROVIDERS, *sorted(LITELLM - NO_CHAT), *PROVIDERS)
}
"""By the name with hyphens, ours first: of names that are as near, the first is proposed."""


def canonical(name: str) -> str:
    """Return the one name that a provider has in keys, logs and messages; an unknown name is returned as it is."""
    plain = name.replace("_", "-")
    return ALIASES.get(plain) or _HYPHENED.get(plain, name)


def unknown_provider(name: str, *, embeddings: bool = False) -> str | None:
    """Return the error text for a name that is no provider's, with the nearest name; None for a provider.

    With `embeddings`, those without models that answer messages are providers as well.
    """
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    if plain in OURS:
        return f'"{name:.40}" is no other provider: its accounts are asked before all others'
    if canonical(name) in NO_CHAT and not embeddings:
        return f'"{name:.40}" has no models that answer messages'
    if canonical(name) in PROVIDERS or canonical(name) in LITELLM:
        return None
    near = MEANT.get(plain) or _nearest(plain)
    hint = f'did you mean "{near}"?' if near else f"known are {', '.join(PROVIDERS)}, and LiteLLM's"
    return f'no provider is called "{name:.40}", {hint}'


def _nearest(plain: str) -> str | None:
    near = get_close_matches(plain, [*_HYPHENED, *ALIASES], n=1)
    return canonical(near[0]) if near else None


def own_prefix(provider: str, model: str) -> str | None:
    """Return the provider's own name at the beginning of `model`, with its slash; None if there is none.

    LiteLLM's users write `gemini/gemini-2.5-flash`. `openrouter/auto` and `groq/compound` are models' own names.
    """
    first, slash, _ = model.partition("/")
    own = PROVIDERS.get(provider)
    if not slash or own is None or provider in ("openrouter", "groq"):
        return None
    return f"{first}/" if first in (provider, own.litellm) else None
