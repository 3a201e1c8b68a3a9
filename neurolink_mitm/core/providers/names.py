"""Other providers: what they are called here and by LiteLLM, and where their keys come from.

https://docs.litellm.ai/docs/providers

Which providers there are: LiteLLM, which knows, takes seconds to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Provider


@dataclass(frozen=True, slots=True)
class Known:
    """A provider. One of the variables in `keys` has to be set; of the first that is, LiteLLM is handed the value."""

    litellm: str
    keys: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()
    """Variables any of which says that LiteLLM can find credentials by itself (files, profiles)."""
    free: bool = False
    """Runs on the user's own machines: nothing is paid per use."""


PROVIDERS: Mapping[str, Known] = {
    "google-ai": Known("gemini", ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_AI_API_KEY")),
    "vertex": Known(
        "vertex_ai",
        ambient=("GOOGLE_APPLICATION_CREDENTIALS", "VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT"),
    ),
    "openai": Known("openai", ("OPENAI_API_KEY",)),
    "azure": Known("azure", ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY")),
    "bedrock": Known(
        "bedrock",
        ambient=("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ROLE_ARN"),
    ),
    "mistral": Known("mistral", ("MISTRAL_API_KEY",)),
    "groq": Known("groq", ("GROQ_API_KEY",)),
    "deepseek": Known("deepseek", ("DEEPSEEK_API_KEY",)),
    "openrouter": Known("openrouter", ("OPENROUTER_API_KEY",)),
    "ollama": Known("ollama_chat", free=True),
}
"""By the name used in the configuration. Any other name is taken to be LiteLLM's own."""

_OWN = {"nano-gpt": "nano-gpt", "scx-ai": "scx-ai"}
"""LiteLLM's few names with a hyphen; all others may be written with one."""
_COMMON = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT"}
)  # fmt: skip
_PREFIXES = {"google-ai": ("GEMINI_", "GOOGLE_"), "vertex": ("GOOGLE_", "VERTEX")}
NO_KEY = Secret("none")
"""For servers that ask for none, where a client insists on having one."""


def known(provider: str) -> Known:
    return PROVIDERS.get(provider) or Known(_OWN.get(provider) or provider.replace("-", "_"))


def litellm_name(provider: str, model: str) -> str:
    """As LiteLLM wants it: `gemini/gemini-2.5-flash`."""
    return f"{known(provider).litellm}/{model}"


def key_of(
    provider: str, providers: Mapping[str, Provider], environ: Mapping[str, str]
) -> Secret | None:
    """The key to hand on; None where LiteLLM has to find credentials by itself, or there are none."""
    settings = providers.get(provider)
    if settings and settings.api_key:
        return settings.api_key
    found = next((environ[name] for name in known(provider).keys if environ.get(name)), None)
    if found:
        return Secret(found)
    return NO_KEY if settings and settings.base_url and known(provider).keys else None


def missing(
    provider: str, providers: Mapping[str, Provider], environ: Mapping[str, str]
) -> str | None:
    """What keeps the provider from being asked, in words for its owner; None if nothing does."""
    facts = known(provider)
    if key_of(provider, providers, environ) or not (facts.keys or facts.ambient):
        return None
    if any(environ.get(name) for name in facts.ambient):
        return None
    names = " or ".join((*facts.keys, *facts.ambient))
    return f"no key: set {names} in the environment or .env, or providers.{provider}.apiKey"


def environment_for(providers: frozenset[str], environ: Mapping[str, str]) -> dict[str, str]:
    """What of the environment these providers need. Nothing of Anthropic's is handed on, whatever it is called.

    Proxies and authorities are not among it: `adapters.network` tells those.
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
"""Its own names; a test compares them with the LiteLLM that is installed."""


def is_provider(name: str) -> bool:
    return name in PROVIDERS or name in LITELLM or name.replace("-", "_") in LITELLM


def unknown(name: str) -> str | None:
    """What to say of a name that is no provider's; None for one that is."""
    if is_provider(name):
        return None
    plain = name.strip().lower().replace("_", "-")
    known = [*PROVIDERS, *sorted(each.replace("_", "-") for each in LITELLM)]
    near = get_close_matches(plain, known, n=1)
    hint = (
        f'did you mean "{near[0]}"?' if near else f"known are {', '.join(PROVIDERS)}, and LiteLLM's"
    )
    return f'no provider is called "{name:.40}", {hint}'
