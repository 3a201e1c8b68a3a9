"""The providers beside Anthropic: their names here and in LiteLLM, and where their keys come from.

https://docs.litellm.ai/docs/providers
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Provider


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """A provider: its LiteLLM name, and what tells where it is and who pays."""

    litellm: str
    keys: tuple[str, ...] = ()
    """Variables of the API key; the first that is set counts."""
    ambient: tuple[str, ...] = ()
    """Variables that tell LiteLLM where to find credentials (files, profiles); one is enough."""
    free: bool = False
    """Runs on the user's own machines: nothing is paid per use, and a key is optional."""
    addresses: tuple[str, ...] = ()
    """Variables of the endpoint, where LiteLLM has no default: one of them is needed, or `baseUrl`."""
    example: str = ""
    """The form of `baseUrl`; where `addresses` are, it is shown to those who have none."""
    default: str = ""
    """The endpoint if none is named, where LiteLLM has no default."""


PROVIDERS: Mapping[str, ProviderInfo] = {
    "google-ai": ProviderInfo("gemini", ("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_AI_API_KEY")),
    "vertex": ProviderInfo(
        "vertex_ai",
        ambient=(
            "GOOGLE_APPLICATION_CREDENTIALS",
            "VERTEXAI_CREDENTIALS",
            "VERTEXAI_PROJECT",
            "GOOGLE_CLOUD_PROJECT",
        ),
    ),
    "openai": ProviderInfo("openai", ("OPENAI_API_KEY",)),
    "azure": ProviderInfo(
        "azure",
        ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY"),
        ambient=("AZURE_AD_TOKEN",),
        addresses=("AZURE_API_BASE",),
        example="https://RESOURCE.openai.azure.com",
    ),
    "azure_ai": ProviderInfo(
        "azure_ai",
        ("AZURE_AI_API_KEY",),
        addresses=("AZURE_AI_API_BASE",),
        example="https://RESOURCE.services.ai.azure.com",
    ),
    "bedrock": ProviderInfo(
        "bedrock",
        ambient=("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ROLE_ARN"),
    ),
    "mistral": ProviderInfo("mistral", ("MISTRAL_API_KEY",)),
    "groq": ProviderInfo("groq", ("GROQ_API_KEY",)),
    "deepseek": ProviderInfo("deepseek", ("DEEPSEEK_API_KEY",)),
    "openrouter": ProviderInfo("openrouter", ("OPENROUTER_API_KEY",)),
    "minimax": ProviderInfo("minimax", ("MINIMAX_API_KEY",)),
    "moonshot": ProviderInfo("moonshot", ("MOONSHOT_API_KEY",)),
    "xai": ProviderInfo("xai", ("XAI_API_KEY",)),
    "cohere": ProviderInfo("cohere", ("COHERE_API_KEY",)),
    "voyage": ProviderInfo("voyage", ("VOYAGE_API_KEY", "VOYAGE_AI_API_KEY")),
    "jina_ai": ProviderInfo("jina_ai", ("JINA_AI_API_KEY", "JINA_AI_TOKEN")),
    "ollama": ProviderInfo("ollama_chat", free=True, example="http://127.0.0.1:11434"),
    "lm_studio": ProviderInfo(
        "lm_studio", ("LM_STUDIO_API_KEY",), free=True, default="http://127.0.0.1:1234/v1"
    ),
    "hosted_vllm": ProviderInfo(
        "hosted_vllm",
        ("HOSTED_VLLM_API_KEY",),
        free=True,
        addresses=("HOSTED_VLLM_API_BASE",),
        example="http://127.0.0.1:8000/v1",
    ),
}
"""By name in the configuration. Any other name is LiteLLM's own (`names.py`)."""

WITHOUT_KEYS = frozenset({"vertex"})
"""Providers that take no API key from LiteLLM, so that `apiKey` has no meaning."""
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
    if settings and settings.api_key and provider not in WITHOUT_KEYS:
        return settings.api_key
    key = next((environ[name] for name in names if environ.get(name)), None)
    if key:
        return Secret(key)
    return NO_KEY if settings and settings.base_url and names and not _is_hosted(provider) else None


def _is_hosted(provider: str) -> bool:
    """Return whether an address of one's own is no server of one's own: Azure gives each customer one."""
    info = provider_info(provider)
    return bool(info.addresses) and not info.free


def base_url_of(provider: str, providers: Mapping[str, Provider]) -> str | None:
    """Return the endpoint of `provider`; None where LiteLLM knows or finds it."""
    settings = providers.get(provider)
    return (settings.base_url if settings else None) or provider_info(provider).default or None


def missing_access(
    provider: str, providers: Mapping[str, Provider], environ: Mapping[str, str]
) -> str | None:
    """Return what is to be set, as text for the user; None if `provider` has a credential and an endpoint."""
    info = provider_info(provider)
    missing = []
    if not (key_of(provider, providers, environ) or _has_credential(info, environ)):
        missing.append(f"no key: set {credential_places(provider)}")
    address = base_url_of(provider, providers) or _any(info.addresses, environ)
    if info.addresses and not address:
        names = " or ".join(info.addresses)
        missing.append(f"no address: set providers.{provider}.baseUrl ({info.example}) or {names}")
    return "; ".join(missing) or None


def credential_places(provider: str) -> str:
    """Return where a credential of `provider` may stand, as text for the user; empty for what LiteLLM finds itself."""
    info = provider_info(provider)
    names = " or ".join((*info.keys, *info.ambient))
    own = f", or providers.{provider}.apiKey" if provider not in WITHOUT_KEYS else ""
    return f"{names} in the environment or .env{own}" if names else ""


def _has_credential(info: ProviderInfo, environ: Mapping[str, str]) -> bool:
    """Return whether LiteLLM finds a credential, or may, or none is needed."""
    return info.free or not (info.keys or info.ambient) or _any(info.ambient, environ)


def _any(names: Iterable[str], environ: Mapping[str, str]) -> bool:
    return any(environ.get(name) for name in names)


def access_mark(
    provider: str, providers: Mapping[str, Provider], environ: Mapping[str, str]
) -> Secret:
    """Return all that the access to `provider` consists of, as one text: another text is another access."""
    info, settings, key = (
        provider_info(provider),
        providers.get(provider),
        key_of(provider, providers, environ),
    )
    parts = (
        provider,
        key.reveal() if key else "",
        *(environ.get(name, "") for name in (*info.ambient, *info.addresses)),
        settings.base_url if settings else "",
        settings.api if settings else "",
    )
    return Secret("\n".join(part or "" for part in parts))


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
