"""The sections of the configuration as frozen dataclasses: each field with its default, its check and its meaning.

The checks are for what comes from a file (`config/document.py`); programs and tests build the values unchecked. The
text in an annotation is the key's meaning in the JSON Schema and in docs/configuration.md. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from neurolink_mitm.core.settings import types as types
from neurolink_mitm.core.settings.cluster import Cluster
from neurolink_mitm.core.settings.dashboard import Dashboard
from neurolink_mitm.core.settings.listen import Listen
from neurolink_mitm.core.settings.notify import Notify
from neurolink_mitm.core.settings.section import Section
from neurolink_mitm.core.settings.shaping import Cloaking

UNNAMED = "unnamed"
"""The label of an account without one."""
DEFAULT_BASE_URL = "https://api.anthropic.com"


@dataclass(frozen=True, slots=True)
class AccountConfig(Section):
    """An account, or the settings of the stored account of the same name when it has no key."""

    name: Annotated[
        types.Label,
        "The label, unique; of several without one the second is `unnamed-2`, and so on.",
    ] = UNNAMED
    api_key: Annotated[
        types.SecretText | None,
        "An API key or an OAuth access token: better `${VAR}` than the key itself.",
    ] = None
    base_url: Annotated[
        types.BaseUrl | None, "The endpoint of this account; without it, `defaultBaseUrl`."
    ] = None
    org_id: Annotated[types.Text | None, "The organisation the key belongs to."] = None
    weight: Annotated[
        types.PositiveNumber, "Round-robin: twice the weight, twice the requests."
    ] = 1.0
    priority: Annotated[
        types.WholeNumber, "Higher ones go first; lower ones take what is left over."
    ] = 0
    enabled: Annotated[types.Flag, "False: it serves nothing."] = True
    rate_limit: Annotated[
        types.PositiveCount | None, "Requests a minute that are sent on it at most."
    ] = None
    max_concurrent: Annotated[types.Count, "Requests in flight at most; 0 is no limit."] = 0
    excluded_models: Annotated[tuple[types.Text, ...], "It is not used for these; wildcards."] = ()
    proxy_url: Annotated[
        types.ProxyUrl | None, "Its HTTP proxy; `direct` ignores the environment's."
    ] = field(default=None, repr=False)
    metadata: Annotated[Mapping[str, object], "Notes of your own."] = field(
        default_factory=dict, hash=False
    )


@dataclass(frozen=True, slots=True)
class AccountGroups(Section):
    """`accounts` in the file: one list a provider."""

    anthropic: Annotated[
        tuple[AccountConfig, ...],
        "An entry without `apiKey` gives settings to the stored account of that name.",
    ] = ()


@dataclass(frozen=True, slots=True)
class ModelMapping(Section):
    """Requests for models like `from_` (a wildcard) are for `to` of `provider` instead."""

    from_: Annotated[types.Text, "The model asked for; wildcards."]
    to: Annotated[types.Text, "The model that answers."]
    provider: Annotated[types.Text, "Whose model that is."] = "anthropic"


@dataclass(frozen=True, slots=True)
class Fallback(Section):
    """A model of another provider, for when every account is cooling."""

    provider: Annotated[types.Text, "`google-ai`, `openai`, … ([all](fallback.md#keys))."]
    model: Annotated[types.Text, "The provider's name for it."]


Strategy = Literal["fill-first", "round-robin", "quota-aware"]


@dataclass(frozen=True, slots=True)
class Routing(Section):
    """Which account or provider a request goes to."""

    strategy: Annotated[
        Strategy,
        "`fill-first`: one account until it is limited, then the next. `round-robin`: in turns, by `weight`. "
        "`quota-aware`: fill-first, but accounts whose window is nearly used up come last.",
    ] = "fill-first"
    primary_account: Annotated[
        types.Label | None, "The account with this label goes first, whatever its priority."
    ] = None
    account_order: Annotated[
        tuple[types.Label, ...],
        "Labels of accounts, the first to be used first, among those of one `priority` and of one kind: "
        "subscriptions come before API keys. Others follow.",
    ] = ()
    session_affinity: Annotated[
        types.Flag, "A session stays on its account and keeps its prompt cache warm."
    ] = True
    model_mappings: Annotated[
        tuple[ModelMapping, ...], "Requests for some models are answered by others."
    ] = ()
    fallback_chain: Annotated[
        tuple[Fallback, ...], "Who is asked, in this order, when every account is cooling."
    ] = ()
    passthrough_models: Annotated[
        tuple[types.Text, ...], "Models that go to Anthropic as they are."
    ] = ()
    hold: Annotated[
        types.SecondsOrZero,
        "Seconds that a request may wait, when all are cooling, for the first account to recover ([more](hold.md)).",
    ] = 0.0
    pay_per_use: Annotated[
        Literal["allow", "never"],
        "`never`: subscriptions only, no API keys beside them and no other provider.",
    ] = "allow"
    daily_cap_usd: Annotated[
        types.Amount | None, "No more is spent a day on pay-per-use; without it there is no cap."
    ] = None


@dataclass(frozen=True, slots=True)
class Timeouts(Section):
    """Seconds: to connect, to the first event, between events, and for a whole request."""

    connect: Annotated[types.Seconds, "To connect to upstream."] = 10.0
    first_event: Annotated[types.Seconds, "From the request to the first event of its answer."] = (
        120.0
    )
    idle: Annotated[types.Seconds, "Between two events."] = 300.0
    total: Annotated[
        types.Seconds,
        "Until the first event, over all attempts; an answer that flows is bounded by `idle` alone.",
    ] = 900.0
    drain: Annotated[
        types.Seconds, "That requests under way get to end when the proxy is stopped."
    ] = 30.0


@dataclass(frozen=True, slots=True)
class Clients(Section):
    """Keys that callers must show, one of them; empty asks for none."""

    api_keys: Annotated[
        tuple[types.SecretText, ...],
        "Keys that callers must show, one of them (`x-api-key` or bearer). Beyond loopback there must be one,"
        " here or made by `neurolink clients add`.",
    ] = ()


@dataclass(frozen=True, slots=True)
class Provider(Section):
    """Another provider, as far as it differs from LiteLLM's defaults."""

    base_url: Annotated[
        types.BaseUrl | None,
        "The provider's endpoint: with `/v1` for servers like OpenAI's, `/v1beta` for `google-ai`, without a path "
        "for `ollama` and `azure`.",
    ] = None
    api_key: Annotated[
        types.SecretText | None,
        "Else it comes from the environment or `.env` (`OPENAI_API_KEY`, …).",
    ] = None
    api: Annotated[
        Literal["chat", "responses"] | None,
        "Of OpenAI's two, for `openai` and `azure`: `responses` (the default for OpenAI itself) or `chat` (for Azure, "
        "and where `baseUrl` is another server's).",
    ] = None


@dataclass(frozen=True, slots=True)
class ModelPrice(Section):
    """USD for a million tokens, by what they were. Caching that is not told follows from `input`."""

    input: Annotated[types.Amount, "USD for a million tokens that are not cached."]
    output: Annotated[types.Amount, "USD for a million tokens of answers."]
    cache_read: Annotated[
        types.Amount | None,
        "USD for a million tokens from the cache. Without it and the next two, the same share of `input` as "
        "in the list prices.",
    ] = None
    cache_write_5m: Annotated[
        types.Amount | None, "USD for a million tokens that are cached for five minutes."
    ] = None
    cache_write_1h: Annotated[
        types.Amount | None, "USD for a million tokens that are cached for an hour."
    ] = None


@dataclass(frozen=True, slots=True)
class OAuth(Section):
    """Endpoints and identity of the login. The defaults are those of Claude Code's own client."""

    authorize_url: Annotated[types.Url, "The page that asks the user."] = (
        "https://claude.ai/oauth/authorize"
    )
    token_urls: Annotated[
        tuple[types.Url, ...],
        types.NotEmpty(),
        "Where codes and refresh tokens are exchanged, in the order they are tried.",
    ] = (
        "https://api.anthropic.com/v1/oauth/token",
        "https://console.anthropic.com/v1/oauth/token",
    )
    redirect_uri: Annotated[types.Url, "Where the page hands out its code."] = (
        "https://console.anthropic.com/oauth/code/callback"
    )
    client_id: Annotated[types.Text, "Of the login's client."] = (
        "9d1c250a-e61b-44d9-88ed-5944d1962f5e"
    )
    scopes: Annotated[tuple[types.Text, ...], "What the login asks for."] = (
        "org:create_api_key",
        "user:profile",
        "user:inference",
    )


@dataclass(frozen=True, slots=True)
class Network(Section):
    """The way to upstream."""

    ca_bundle: Annotated[
        types.Text | None,
        "A file of PEM certificates to trust, beside certifi's, the system's and those that variables name "
        "(`SSL_CERT_FILE`, …). Relative to this file.",
    ] = None
    idle: Annotated[
        types.SecondsOrZero,
        "Seconds that an unused connection to upstream is kept; 0: each request has its own.",
    ] = 60.0
    warm: Annotated[
        types.SpareCount,
        "Spare connections that are kept ready for the upstream in use; 0 is none.",
    ] = 1


Capture = Literal["all", "errors", "off"]


@dataclass(frozen=True, slots=True)
class Logging(Section):
    """How long and how much logs are kept (days; 10^6 bytes), and whose bodies."""

    max_age_days: Annotated[types.PositiveCount, "Older logs are removed."] = 7
    max_size_mb: Annotated[
        types.PositiveCount, "Of all logs together, in 10^6 bytes; the oldest go first."
    ] = 500
    rollup_days: Annotated[
        types.PositiveCount,
        "Sums of a day, for statistics, are kept so long: they are small, and outside `max-size-mb`.",
    ] = 400
    capture_bodies: Annotated[Capture, "Of which requests: `all`, `errors` or `off`."] = "errors"


@dataclass(frozen=True, slots=True)
class _Common(Section):
    version: Annotated[Literal[1], "Of this format."] = 1
    default_base_url: Annotated[
        types.BaseUrl, "Where Anthropic's API is, for accounts without a `baseUrl`."
    ] = DEFAULT_BASE_URL
    routing: Annotated[Routing, "Which account or provider a request goes to."] = field(
        default_factory=Routing
    )
    timeouts: Annotated[Timeouts, "In seconds."] = field(default_factory=Timeouts)
    clients: Annotated[Clients, "Who may use the proxy."] = field(default_factory=Clients)
    providers: Annotated[
        Mapping[str, Provider],
        "Other providers by name, as far as they differ from LiteLLM's defaults.",
    ] = field(default_factory=dict, hash=False)
    prices: Annotated[
        Mapping[str, ModelPrice],
        "What models cost, over the list prices that come with NeuroLink: by model, dated or not; wildcards.",
    ] = field(default_factory=dict, hash=False)
    oauth: Annotated[OAuth, "The login, in case its endpoints move."] = field(default_factory=OAuth)
    cloaking: Annotated[
        Cloaking, "What is changed in requests, so that nothing leaves this machine that shouldn't."
    ] = field(default_factory=Cloaking)
    logging: Annotated[Logging, "How long and how much is kept."] = field(default_factory=Logging)
    network: Annotated[Network, "The way to upstream."] = field(default_factory=Network)
    listen: Annotated[Listen, "How callers reach the proxy."] = field(default_factory=Listen)
    cluster: Annotated[
        Cluster | None,
        "Several replicas as one pool, over Redis or Valkey; absent: this one alone.",
    ] = None
    dashboard: Annotated[Dashboard, "The pages for the browser ([dashboard](dashboard.md))."] = (
        field(default_factory=Dashboard)
    )
    notify: Annotated[
        Notify, "How you hear of what happens ([notices](notices.md)); off by default."
    ] = field(default_factory=Notify)


@dataclass(frozen=True, slots=True)
class ConfigFile(_Common):
    """The configuration as the file has it."""

    accounts: Annotated[AccountGroups, "Beside those that `neurolink auth login` stored."] = field(
        default_factory=AccountGroups
    )


@dataclass(frozen=True, slots=True)
class Config(_Common):
    """The configuration as the program uses it. `Config()` is that of an empty file."""

    accounts: tuple[AccountConfig, ...] = ()
