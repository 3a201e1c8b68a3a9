"""What each key of the configuration means: for the JSON Schema (editors show it) and docs/configuration.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from neurolink_mitm.core.config_faults import spellings

MEANINGS: Mapping[str, str] = {
    "version": "Of this format.",
    "defaultBaseUrl": "Where Anthropic's API is, for accounts without a `baseUrl`.",
    "routing": "Which account or provider a request goes to.",
    "routing.strategy": "`fill-first`: one account until it is limited, then the next. `round-robin`: in turns, by "
    "`weight`. `quota-aware`: fill-first, but accounts whose window is nearly used up come last.",
    "routing.primaryAccount": "The account with this label goes first, whatever its priority.",
    "routing.sessionAffinity": "A session stays on its account and keeps its prompt cache warm.",
    "routing.modelMappings": "Requests for some models are answered by others.",
    "routing.modelMappings[].from": "The model asked for; wildcards.",
    "routing.modelMappings[].to": "The model that answers.",
    "routing.modelMappings[].provider": "Whose model that is.",
    "routing.fallbackChain": "Who is asked, in this order, when every account is cooling.",
    "routing.fallbackChain[].provider": "`google-ai`, `openai`, …",
    "routing.fallbackChain[].model": "The provider's name for it.",
    "routing.passthroughModels": "Models that go to Anthropic as they are.",
    "routing.payPerUse": "`never`: subscriptions only, no API keys beside them and no other provider.",
    "routing.dailyCapUsd": "No more is spent a day on pay-per-use; without it there is no cap.",
    "timeouts": "In seconds.",
    "timeouts.connect": "To connect to upstream.",
    "timeouts.firstEvent": "From the request to the first event of its answer.",
    "timeouts.idle": "Between two events.",
    "timeouts.total": "Until the first event, over all attempts; an answer that flows is bounded by `idle` alone.",
    "clients": "Who may use the proxy.",
    "clients.apiKeys": "Keys that callers must show, one of them (`x-api-key` or bearer). Beyond loopback there "
    "must be one, here or made by `neurolink clients add`.",
    "providers": "Other providers by name, as far as they differ from LiteLLM's defaults.",
    "providers.*.baseUrl": "The provider's endpoint.",
    "providers.*.api": "Of OpenAI's two: `responses` (the default for OpenAI itself) or `chat` (where `baseUrl` is "
    "another server's).",
    "providers.*.apiKey": "Else it comes from the environment or `.env` (`OPENAI_API_KEY`, …).",
    "prices": "What models cost, over the list prices that come with NeuroLink: by model, dated or not; wildcards.",
    "prices.*.input": "USD for a million tokens that are not cached.",
    "prices.*.output": "USD for a million tokens of answers.",
    "prices.*.cacheRead": "USD for a million tokens from the cache. Without it and the next two, the same share of "
    "`input` as in the list prices.",
    "prices.*.cacheWrite5m": "USD for a million tokens that are cached for five minutes.",
    "prices.*.cacheWrite1h": "USD for a million tokens that are cached for an hour.",
    "oauth": "The login, in case its endpoints move.",
    "oauth.authorizeUrl": "The page that asks the user.",
    "oauth.tokenUrls": "Where codes and refresh tokens are exchanged, in the order they are tried.",
    "oauth.redirectUri": "Where the page hands out its code.",
    "oauth.clientId": "Of the login's client.",
    "oauth.scopes": "What the login asks for.",
    "cloaking": "What is changed in requests, so that nothing leaves this machine that shouldn't.",
    "cloaking.mode": "`auto`: in requests on subscriptions only.",
    "cloaking.plugins": "Each is true, false, or its options; options switch it on. `custom` is a list.",
    "cloaking.plugins.tlsFingerprint": "Stops a request when the host shows another certificate than the pinned ones.",
    "cloaking.plugins.tlsFingerprint.enabled": "Whether it is on.",
    "cloaking.plugins.tlsFingerprint.pins": "By host: SHA-256 of each certificate it may show, in hex.",
    "cloaking.plugins.headerScrubber": "Removes forwarding headers, cookies and our own.",
    "cloaking.plugins.headerScrubber.enabled": "Whether it is on.",
    "cloaking.plugins.headerScrubber.headers": "And these; wildcards.",
    "cloaking.plugins.sessionIdentity": "Makes `metadata.user_id` name the account in use.",
    "cloaking.plugins.sessionIdentity.enabled": "Whether it is on.",
    "cloaking.plugins.systemPromptInjector": "Adds your own system blocks after Claude Code's.",
    "cloaking.plugins.systemPromptInjector.enabled": "Whether it is on.",
    "cloaking.plugins.systemPromptInjector.blocks": "The texts.",
    "cloaking.plugins.wordObfuscator": "Puts placeholders in place of what you name on the way out, and takes them "
    "back in the answer.",
    "cloaking.plugins.wordObfuscator.enabled": "Whether it is on.",
    "cloaking.plugins.wordObfuscator.words": "Words, in upper or lower case, also inside of others.",
    "cloaking.plugins.wordObfuscator.patterns": "Regular expressions.",
    "cloaking.plugins.wordObfuscator.detectors": "Kinds of data: `email`, `ipv4`, `ipv6`, `key` (keys and tokens "
    "of AWS, GitHub, Slack and their like).",
    "cloaking.plugins.wordObfuscator.domains": "Domains: they and all names of hosts below them.",
    "cloaking.plugins.custom": "Your own: files of Python, or names of entry points; see [shaping.md](shaping.md).",
    "network": "The way to upstream.",
    "network.caBundle": "A file of PEM certificates to trust, beside certifi's, the system's and those that variables "
    "name (`SSL_CERT_FILE`, …). Relative to this file.",
    "logging": "How long and how much is kept.",
    "logging.maxAgeDays": "Older logs are removed.",
    "logging.maxSizeMb": "Of all logs together, in 10^6 bytes; the oldest go first.",
    "logging.captureBodies": "Of which requests: `all`, `errors` or `off`.",
    "accounts": "Beside those that `neurolink auth login` stored.",
    "accounts.anthropic": "An entry without `apiKey` gives settings to the stored account of that name.",
    "accounts.anthropic[].name": "The label, unique; of several without one the second is `unnamed-2`, and so on.",
    "accounts.anthropic[].apiKey": "An API key or an OAuth access token: better `${VAR}` than the key itself.",
    "accounts.anthropic[].baseUrl": "The endpoint of this account; without it, `defaultBaseUrl`.",
    "accounts.anthropic[].orgId": "The organisation the key belongs to.",
    "accounts.anthropic[].weight": "Round-robin: twice the weight, twice the requests.",
    "accounts.anthropic[].priority": "Higher ones go first; lower ones take what is left over.",
    "accounts.anthropic[].enabled": "False: it serves nothing.",
    "accounts.anthropic[].rateLimit": "Requests a minute that are sent on it at most.",
    "accounts.anthropic[].maxConcurrent": "Requests in flight at most; 0 is no limit.",
    "accounts.anthropic[].excludedModels": "It is not used for these; wildcards.",
    "accounts.anthropic[].proxyUrl": "Its HTTP proxy; `direct` ignores the environment's.",
    "accounts.anthropic[].metadata": "Notes of your own.",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One key: where it is, in which section, and its default; `nested` if there are keys below it."""

    path: str
    section: str
    key: str
    default: object
    nested: bool

    @property
    def meaning(self) -> str:
        return MEANINGS[self.path]


def entries(section: type, path: str = "") -> Iterator[Entry]:
    """Every key of a section and of those below, each followed by what is in it."""
    hints = get_type_hints(section)
    for field in fields(section):
        key = spellings(field.name)[0]
        here = f"{path}.{key}".removeprefix(".")
        below, step = _section_in(hints[field.name])
        yield Entry(here, section.__name__, key, _default(field), below is not None)
        if below is not None:
            yield from entries(below, here + step)


def _section_in(kind: Any) -> tuple[type | None, str]:
    """The section that a value of this type is, is a list of, or maps names to; and the step that leads to it."""
    if is_dataclass(kind) and isinstance(kind, type):
        return kind, ""
    parts = [part for part in get_args(kind) if part not in (NoneType, ...)]
    step = {tuple: "[]"}.get(get_origin(kind), ".*" if get_origin(kind) is Mapping else "")
    for part in parts:
        if is_dataclass(part) and isinstance(part, type):
            return part, step
    return None, ""


def _default(field: Field[Any]) -> object:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
