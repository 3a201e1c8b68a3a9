"""The sections of request shaping: which rewriters run, and with what options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from neurolink_mitm.core.settings import types as types
from neurolink_mitm.core.settings.section import PRIVATE, Options, Section

Fingerprints = Annotated[tuple[types.Fingerprint, ...], types.NotEmpty()]


@dataclass(frozen=True, slots=True)
class TlsFingerprint(Options):
    """SHA-256 fingerprints (lower-case hex) that the certificate of a host may have."""

    enabled: Annotated[types.Flag, "Whether it is on."] = False
    pins: Annotated[
        Mapping[str, Fingerprints], "By host: SHA-256 of each certificate it may show, in hex."
    ] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class HeaderScrubber(Options):
    """Header names (wildcards) to remove beside the built-in ones."""

    enabled: Annotated[types.Flag, "Whether it is on."] = True
    headers: Annotated[tuple[types.Text, ...], "And these; wildcards."] = ()


@dataclass(frozen=True, slots=True)
class SessionIdentity(Options):
    """`metadata.user_id` names the account in use."""

    enabled: Annotated[types.Flag, "Whether it is on."] = True


@dataclass(frozen=True, slots=True)
class SystemPromptInjector(Options):
    """System blocks to add after Claude Code's."""

    enabled: Annotated[types.Flag, "Whether it is on."] = False
    blocks: Annotated[tuple[types.Text, ...], "The texts."] = ()


Detector = Literal["email", "ipv4", "ipv6", "key"]


@dataclass(frozen=True, slots=True)
class WordObfuscator(Options):
    """What placeholders replace on the way out: words, regular expressions, names of hosts, kinds of data."""

    enabled: Annotated[types.Flag, "Whether it is on."] = False
    words: Annotated[
        tuple[types.Text, ...], "Words, in upper or lower case, also inside of others."
    ] = field(default=(), repr=False, metadata=PRIVATE)
    patterns: Annotated[tuple[types.Pattern, ...], "Regular expressions."] = field(
        default=(), repr=False, metadata=PRIVATE
    )
    detectors: Annotated[
        tuple[Detector, ...],
        "Kinds of data: `email`, `ipv4`, `ipv6`, `key` (keys and tokens of AWS, GitHub, Slack and their like).",
    ] = ()
    domains: Annotated[
        tuple[types.Text, ...], "Domains: they and all names of hosts below them."
    ] = field(default=(), repr=False, metadata=PRIVATE)


@dataclass(frozen=True, slots=True)
class Plugins(Section):
    """The rewriters, in the order they run on a request."""

    tls_fingerprint: Annotated[
        TlsFingerprint,
        "Stops a request when the host shows another certificate than the pinned ones.",
    ] = field(default_factory=TlsFingerprint)
    header_scrubber: Annotated[
        HeaderScrubber, "Removes forwarding headers, cookies and our own."
    ] = field(default_factory=HeaderScrubber)
    session_identity: Annotated[
        SessionIdentity, "Makes `metadata.user_id` name the account in use."
    ] = field(default_factory=SessionIdentity)
    system_prompt_injector: Annotated[
        SystemPromptInjector, "Adds your own system blocks after Claude Code's."
    ] = field(default_factory=SystemPromptInjector)
    word_obfuscator: Annotated[
        WordObfuscator,
        "Puts placeholders in place of what you name on the way out, and takes them back in the answer.",
    ] = field(default_factory=WordObfuscator)
    custom: Annotated[
        tuple[types.Text, ...],
        "Your own: files of Python, or names of entry points; see [shaping.md](shaping.md).",
    ] = ()


@dataclass(frozen=True, slots=True)
class Cloaking(Section):
    """Request shaping: for OAuth accounts only (auto), always, never; and how."""

    mode: Annotated[
        Literal["auto", "always", "never"], "`auto`: in requests on subscriptions only."
    ] = "auto"
    plugins: Annotated[
        Plugins, "Each is true, false, or its options; options switch it on. `custom` is a list."
    ] = field(default_factory=Plugins)
