"""The sections of a configuration, as frozen values with their defaults.

They are plain dataclasses: programs and tests build them by their names, unchecked; only what
comes from a file goes through the checks that the annotations carry (see `config.parse`).
Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import AliasChoices, AliasGenerator, ConfigDict

from neurolink_mitm.core import config_kinds as kinds
from neurolink_mitm.core.config_faults import spellings

PRIVATE = {"private": True}
"""Of texts that are no keys, and yet are in no log, report or repr."""
UNNAMED = "unnamed"
"""The label of an account that has none."""
DEFAULT_BASE_URL = "https://api.anthropic.com"


class Section:
    """Keys of a file are camelCase or kebab-case, and all of them are known."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        alias_generator=AliasGenerator(
            validation_alias=lambda name: AliasChoices(*spellings(name))
        ),
    )


@dataclass(frozen=True, slots=True)
class AccountConfig(Section):
    """An account, or the settings of the stored account of the same name when it has no key."""

    name: kinds.Label = UNNAMED
    api_key: kinds.SecretText | None = None
    """An API key or an OAuth access token."""
    base_url: kinds.BaseUrl | None = None
    """None: `Config.default_base_url`."""
    org_id: kinds.Text | None = None
    weight: kinds.PositiveNumber = 1.0
    priority: kinds.WholeNumber = 0
    enabled: kinds.Flag = True
    rate_limit: kinds.PositiveCount | None = None
    """Requests a minute that are sent on it at most."""
    max_concurrent: kinds.Count = 0
    """Requests in flight at most; 0 sets no limit."""
    excluded_models: tuple[kinds.Text, ...] = ()
    """Wildcards."""
    proxy_url: kinds.ProxyUrl | None = field(default=None, repr=False)
    """HTTP proxy of this account, perhaps with credentials; `direct` ignores the environment's."""
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class AccountGroups(Section):
    """`accounts` in the file: one list a provider."""

    anthropic: tuple[AccountConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelMapping(Section):
    """Requests for models like `from_` (a wildcard) are for `to` of `provider` instead."""

    from_: kinds.Text
    to: kinds.Text
    provider: kinds.Text = "anthropic"


@dataclass(frozen=True, slots=True)
class Fallback(Section):
    """A model of another provider, for when every account is cooling."""

    provider: kinds.Text
    model: kinds.Text


Strategy = Literal["fill-first", "round-robin", "quota-aware"]


@dataclass(frozen=True, slots=True)
class Routing(Section):
    """Which account or provider a request goes to."""

    strategy: Annotated[Strategy, kinds.must("one of fill-first, round-robin, quota-aware")] = (
        "fill-first"
    )
    primary_account: kinds.Label | None = None
    session_affinity: kinds.Flag = True
    model_mappings: tuple[ModelMapping, ...] = ()
    fallback_chain: tuple[Fallback, ...] = ()
    passthrough_models: tuple[kinds.Text, ...] = ()
    pay_per_use: Annotated[Literal["allow", "never"], kinds.must("one of allow, never")] = "allow"
    daily_cap_usd: kinds.Amount | None = None


@dataclass(frozen=True, slots=True)
class Timeouts(Section):
    """Seconds: to connect, to the first event, between events, and for a whole request."""

    connect: kinds.Seconds = 10.0
    first_event: kinds.Seconds = 120.0
    idle: kinds.Seconds = 300.0
    total: kinds.Seconds = 900.0


@dataclass(frozen=True, slots=True)
class Clients(Section):
    """Keys that callers must show, one of them; empty asks for none."""

    api_keys: tuple[kinds.SecretText, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider(Section):
    """Another provider, as far as it differs from LiteLLM's defaults."""

    base_url: kinds.BaseUrl | None = None
    api_key: kinds.SecretText | None = None
    api: Annotated[Literal["chat", "responses"], kinds.must("one of chat, responses")] | None = None
    """Of OpenAI's two: `responses` for OpenAI itself, `chat` where `baseUrl` is another server's."""


@dataclass(frozen=True, slots=True)
class ModelPrice(Section):
    """USD for a million tokens, by what they were. Caching that is not told follows from `input`."""

    input: kinds.Amount
    output: kinds.Amount
    cache_read: kinds.Amount | None = None
    cache_write_5m: kinds.Amount | None = None
    cache_write_1h: kinds.Amount | None = None


@dataclass(frozen=True, slots=True)
class OAuth(Section):
    """Endpoints and identity of the login. The defaults are those of Claude Code's own client."""

    authorize_url: kinds.Url = "https://claude.ai/oauth/authorize"
    token_urls: Annotated[tuple[kinds.Url, ...], kinds.NotEmpty] = (
        "https://api.anthropic.com/v1/oauth/token",
        "https://console.anthropic.com/v1/oauth/token",
    )
    """In the order they are tried."""
    redirect_uri: kinds.Url = "https://console.anthropic.com/oauth/code/callback"
    client_id: kinds.Text = "9d1c250a-e61b-44d9-88ed-5944d1962f5e"
    scopes: tuple[kinds.Text, ...] = ("org:create_api_key", "user:profile", "user:inference")


Fingerprints = Annotated[tuple[kinds.Fingerprint, ...], kinds.NotEmpty]


@dataclass(frozen=True, slots=True)
class TlsFingerprint(Section):
    """SHA-256 fingerprints (lower-case hex) that the certificate of a host may have."""

    enabled: kinds.Flag = False
    pins: Mapping[str, Fingerprints] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class HeaderScrubber(Section):
    """Header names (wildcards) to remove beside the built-in ones."""

    enabled: kinds.Flag = True
    headers: tuple[kinds.Text, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionIdentity(Section):
    """`metadata.user_id` names the account in use."""

    enabled: kinds.Flag = True


@dataclass(frozen=True, slots=True)
class SystemPromptInjector(Section):
    """System blocks to add after Claude Code's."""

    enabled: kinds.Flag = False
    blocks: tuple[kinds.Text, ...] = ()


Detector = Annotated[
    Literal["email", "ipv4", "ipv6", "key"], kinds.must("one of email, ipv4, ipv6, key")
]


@dataclass(frozen=True, slots=True)
class WordObfuscator(Section):
    """What placeholders replace on the way out: words, regular expressions, names of hosts, kinds of data."""

    enabled: kinds.Flag = False
    words: tuple[kinds.Text, ...] = field(default=(), repr=False, metadata=PRIVATE)
    patterns: tuple[kinds.Pattern, ...] = field(default=(), repr=False, metadata=PRIVATE)
    detectors: tuple[Detector, ...] = ()
    domains: tuple[kinds.Text, ...] = field(default=(), repr=False, metadata=PRIVATE)
    """They, and all names of hosts below them."""


@dataclass(frozen=True, slots=True)
class Plugins(Section):
    """The rewriters, in the order they run on a request."""

    tls_fingerprint: Annotated[TlsFingerprint, kinds.PluginOptions] = field(
        default_factory=TlsFingerprint
    )
    header_scrubber: Annotated[HeaderScrubber, kinds.PluginOptions] = field(
        default_factory=HeaderScrubber
    )
    session_identity: Annotated[SessionIdentity, kinds.PluginOptions] = field(
        default_factory=SessionIdentity
    )
    system_prompt_injector: Annotated[SystemPromptInjector, kinds.PluginOptions] = field(
        default_factory=SystemPromptInjector
    )
    word_obfuscator: Annotated[WordObfuscator, kinds.PluginOptions] = field(
        default_factory=WordObfuscator
    )
    custom: tuple[kinds.Text, ...] = ()
    """The user's own: files of Python, or names of entry points. They run before the words are replaced."""


@dataclass(frozen=True, slots=True)
class Cloaking(Section):
    """Request shaping: for OAuth accounts only (auto), always, never; and how."""

    mode: Annotated[
        Literal["auto", "always", "never"], kinds.must("one of auto, always, never")
    ] = "auto"
    plugins: Plugins = field(default_factory=Plugins)


@dataclass(frozen=True, slots=True)
class Network(Section):
    """The way to upstream."""

    ca_bundle: kinds.Text | None = None
    """A file of PEM certificates, beside the system's and certifi's; relative to the configuration's directory."""


Capture = Literal["all", "errors", "off"]


@dataclass(frozen=True, slots=True)
class Logging(Section):
    """How long and how much logs are kept (days; 10^6 bytes), and whose bodies."""

    max_age_days: kinds.PositiveCount = 7
    max_size_mb: kinds.PositiveCount = 500
    capture_bodies: Annotated[Capture, kinds.must("one of all, errors, off"), kinds.OffIsText] = (
        "errors"
    )
