"""The rewriters in order, and for whom they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from neurolink_mitm.core.shaping import detectors
from neurolink_mitm.core.shaping.draft import Draft, Editor, RefusedError, Rewriter, Undo
from neurolink_mitm.core.shaping.header_scrubber import HeaderScrubber
from neurolink_mitm.core.shaping.session_identity import SessionIdentity
from neurolink_mitm.core.shaping.system_blocks import SystemBlocks
from neurolink_mitm.core.shaping.tls_pins import TlsPins
from neurolink_mitm.core.shaping.word_obfuscator import WordObfuscator

if TYPE_CHECKING:  # pydantic behind it is slow to import
    from neurolink_mitm.core.config_values import Cloaking

Named = tuple[str, Rewriter]


class PluginError(Exception):
    """A rewriter is broken. The text names it, and nothing of the request."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Without rewriters, a request leaves as it came."""

    mode: Literal["auto", "always", "never"] = "never"
    rewriters: tuple[Named, ...] = ()

    @classmethod
    def of(cls, cloaking: Cloaking, key: bytes, custom: Iterable[Named] = ()) -> Self:
        """By the configuration; `key` makes placeholders that only this installation can make.

        The user's own come before the words are replaced: so what they add is looked through, too.
        """
        if cloaking.mode == "never":
            return cls()
        return cls(cloaking.mode, tuple(_chosen(cloaking, key, custom)))

    def applies(self, account_type: str) -> bool:
        """Whether the requests on accounts of this type are shaped."""
        return self.mode == "always" or (self.mode == "auto" and account_type == "oauth")

    def shape(self, draft: Draft) -> Draft:
        """What is to be sent.

        Raises:
            RefusedError: it must not be sent.
            PluginError: a rewriter has failed, so nobody knows.
        """
        for name, rewriter in self.rewriters:
            draft = _rewritten(name, rewriter, draft)
        return draft


def _rewritten(name: str, rewriter: Rewriter, draft: Draft) -> Draft:
    try:
        result: object = rewriter.rewrite(draft)  # the user's own may return anything
    except RefusedError:
        raise
    except Exception as e:  # its text may hold what was not to be seen
        raise PluginError(f"the plugin {name} failed ({type(e).__name__})") from e
    if not isinstance(result, Draft) or not isinstance(result.body, bytes):
        raise PluginError(f"the plugin {name} returned no draft")
    return result


def _chosen(cloaking: Cloaking, key: bytes, custom: Iterable[Named]) -> Iterator[Named]:
    """Those that are on and have something to do."""
    plugins = cloaking.plugins
    pins, scrubber = plugins.tls_fingerprint, plugins.header_scrubber
    injector, words = plugins.system_prompt_injector, plugins.word_obfuscator
    if pins.enabled and pins.pins:
        yield "tlsFingerprint", TlsPins(pins.pins)
    if scrubber.enabled:
        yield "headerScrubber", HeaderScrubber(scrubber.headers)
    if plugins.session_identity.enabled:
        yield "sessionIdentity", SessionIdentity(key)
    if injector.enabled and injector.blocks:
        yield "systemPromptInjector", SystemBlocks(injector.blocks)
    yield from custom
    finders = detectors.finders(words.words, words.patterns, words.detectors, words.domains)
    if words.enabled and finders:
        yield "wordObfuscator", WordObfuscator(key, finders)


@dataclass(frozen=True, slots=True)
class Chain:
    """Several editors as one, the last rewriter's first."""

    editors: tuple[Editor, ...]

    @classmethod
    def of(cls, undo: Sequence[Undo], *, stream: bool) -> Self:
        """Takes back in the answer what was done to the request."""
        return cls(tuple(each(stream) for each in reversed(undo)))

    def feed(self, chunk: bytes) -> bytes:
        for editor in self.editors:
            chunk = editor.feed(chunk) if chunk else b""
        return chunk

    def end(self) -> bytes:
        rest = b""
        for editor in self.editors:
            rest = (editor.feed(rest) if rest else b"") + editor.end()
        return rest
