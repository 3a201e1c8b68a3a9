"""The providers beside Anthropic: their names here and in LiteLLM, and where their keys come from.

https://docs.litellm.ai/docs/providers
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Provider


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """A provider: its LiteLLM name, and the environment variables that hold its credential."""

    litellm: str
    keys: tuple[str, ...] = ()
    """Variables of the API key; the first that is set counts."""
    ambient: tuple[str, ...] = ()
    """Variables that tell LiteLLM where to find credentials (files, profiles); one is enough."""
    free: bool = False
    """Runs on the user's own machines: nothing is paid per use."""


PROVIDERS: Mapping[str, ProviderInfo] = {
    "google-ai": ProviderInfo("gemini", ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_AI_API_KEY")),
    "vertex": ProviderInfo(
        "vertex_ai",
        ambient=("GOOGLE_APPLICATION_CREDENTIALS", "VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT"),
    ),
    "openai": ProviderInfo("openai", ("OPENAI_API_KEY",)),
    "azure": ProviderInfo("azure", ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY")),
    "bedrock": ProviderInfo(
        "bedrock",
        ambient=("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ROLE_ARN"),
    ),
    "mistral": ProviderInfo("mistral", ("MISTRAL_API_KEY",)),
    "groq": ProviderInfo("groq", ("GROQ_API_KEY",)),
    "deepseek": ProviderInfo("deepseek", ("DEEPSEEK_API_KEY",)),
    "openrouter": ProviderInfo("openrouter", ("OPENROUTER_API_KEY",)),
    "ollama": ProviderInfo("ollama_chat", free=True),
}
"""By name in the configuration. Any other name is LiteLLM's own."""

_OWN = {"nano-gpt": "nano-gpt", "scx-ai": "scx-ai"}
"""LiteLLM's names that have a hyphen. In all others a hyphen stands for `_`."""
_COMMON = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT"}
)  # fmt: skip
_PREFIXES = {"google-ai": ("GEMINI_", "GOOGLE_"), "vertex": ("GOOGLE_", "VERTEX")}
NO_KEY = Secret("none")
"""For servers that need no key: LiteLLM insists on one."""


def provider_info(provider: str) -> ProviderInfo:
    """Return the entry of `provider`; for a name of LiteLLM's own, one without variables."""
    return PROVIDERS.get(provider) or ProviderInfo(_OWN.get(provider) or provider.replace("-", "_"))


def litellm_name(provider: str, model: str) -> str:
    """Return LiteLLM's name of a model: `gemini/gemini-2.5-flash`."""
    return f"{provider_info(provider).litellm}/{model}"


def key_of(
    provider: str, providers: Mapping[str, Provider], environ: Mapping[str, str]
) -> Secret | None:
    """Return the API key of `provider`; None if it has none, or LiteLLM finds credentials by itself."""
    settings, names = providers.get(provider), provider_info(provider).keys
    if settings and settings.api_key:
        return settings.api_key
    key = next((environ[name] for name in names if environ.get(name)), None)
    if key:
        return Secret(key)
    return NO_KEY if settings and settings.base_url and names else None


def missing_key(
    provider: str, providers: Mapping[str, Provider], environ: Mapping[str, str]
) -> str | None:
    """Return which variables to set, as text for the user; None if `provider` has a credential."""
    info = provider_info(provider)
    if key_of(provider, providers, environ) or not (info.keys or info.ambient):
        return None
    if any(environ.get(name) for name in info.ambient):
        return None
    names = " or ".join((*info.keys, *info.ambient))
    return f"no key: set {names} in the environment or .env, or providers.{provider}.apiKey"


def environment_for(providers: frozenset[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that `providers` need. No Anthropic credential is among them, whatever its name.

    Proxies and certificate authorities are added by `adapters.network`.
    """
    prefixes = tuple(prefix for provider in providers for prefix in _prefixes(provider))
    return {
        name: value
        for name, value in environ.items()
        if (name.upper() in _COMMON or name.startswith(("LC_", *prefixes)))
        and "sk-ant-" not in value
    }


def _prefixes(provider: str) -> tuple[str, ...]:
    first = provider.upper().replace("-", "_").partition("_")[0]
    if provider == "bedrock":
        return ("AWS_", "BEDROCK")
    return _PREFIXES.get(provider, (first,))


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


def is_provider(name: str) -> bool:
    """Tell whether `name` is a provider, here or in LiteLLM."""
    return name in PROVIDERS or name in LITELLM or name.replace("-", "_") in LITELLM


def unknown_provider(name: str) -> str | None:
    """Return the error text for a name that is no provider's, with the nearest name; None for a provider."""
    if is_provider(name):
        return None
    plain = name.strip().lower().replace("_", "-")
    names = [*PROVIDERS, *sorted(each.replace("_", "-") for each in LITELLM)]
    near = get_close_matches(plain, names, n=1)
    hint = (
        f'did you mean "{near[0]}"?' if near else f"known are {', '.join(PROVIDERS)}, and LiteLLM's"
    )
    return f'no provider is called "{name:.40}", {hint}'
