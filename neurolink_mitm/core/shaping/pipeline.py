"""The pipeline of rewriters: their order, and the accounts for whose requests they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from neurolink_mitm.core.request.json_spans import LARGE
from neurolink_mitm.core.settings.shaping import Cloaking
from neurolink_mitm.core.shaping import detectors
from neurolink_mitm.core.shaping.outgoing import (
    Editor,
    NotAtOnceError,
    OutgoingRequest,
    RefusedError,
    ResponseTransform,
    Rewriter,
)
from neurolink_mitm.core.shaping.rewriters import HeaderScrubber, SystemBlocks, TlsPins
from neurolink_mitm.core.shaping.session_identity import SessionIdentity
from neurolink_mitm.core.shaping.word_obfuscator import Timer, WordObfuscator

Named = tuple[str, Rewriter]


class UnfinishedError(Exception):
    """The rest of the pipeline takes too long for the event loop."""

    def __init__(self, pipeline: Pipeline, outgoing: OutgoingRequest, place: int) -> None:
        self._pipeline, self._outgoing, self._place = pipeline, outgoing, place

    def go_on(self) -> OutgoingRequest:
        """Run the rest of the pipeline, in a thread. Raises as `Pipeline.shape` does."""
        return self._pipeline.shape(replace(self._outgoing, at_once=False), self._place)


class PluginError(Exception):
    """A rewriter has failed. The text has its name, and nothing of the request."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The rewriters in order. Without any, a request leaves as it came."""

    mode: Literal["auto", "always", "never"] = "never"
    rewriters: tuple[Named, ...] = ()

    @classmethod
    def of(
        cls,
        cloaking: Cloaking,
        key: bytes,
        custom: Iterable[Named] = (),
        timer: Timer = lambda: 0.0,
    ) -> Self:
        """Return the pipeline of a configuration.

        `key` makes placeholders that only this installation can make. `timer` returns seconds; it limits the user's
        expressions. The user's own rewriters (`custom`) run before the word obfuscator, which searches what they add.
        """
        if cloaking.mode == "never":
            return cls()
        return cls(cloaking.mode, tuple(_chosen(cloaking, key, custom, timer)))

    def applies(self, account_type: str) -> bool:
        """Tell whether requests on accounts of this type are shaped."""
        return self.mode == "always" or (self.mode == "auto" and account_type == "oauth")

    def pins_of(self, host: str, account_type: str) -> tuple[str, ...] | None:
        """Return the certificates that `host` may show to such an account's requests; None: any valid one."""
        pins = [each for _, each in self.rewriters if isinstance(each, TlsPins)]
        return pins[0].of(host) if pins and self.applies(account_type) else None

    def shape(self, outgoing: OutgoingRequest, since: int = 0) -> OutgoingRequest:
        """Return the request as it is to be sent; the rewriters before `since` have run already.

        Raises:
            RefusedError: it must not be sent.
            PluginError: a rewriter has failed, so it is unknown what would be sent.
            UnfinishedError: the rest takes too long for a request that is `at_once`.
        """
        if outgoing.at_once and len(outgoing.body) > LARGE:
            raise UnfinishedError(self, outgoing, since)
        for place in range(since, len(self.rewriters)):
            try:
                outgoing = _rewritten(*self.rewriters[place], outgoing)
            except NotAtOnceError:
                raise UnfinishedError(self, outgoing, place) from None
        return outgoing


def _rewritten(name: str, rewriter: Rewriter, outgoing: OutgoingRequest) -> OutgoingRequest:
    try:
        result: object = rewriter.rewrite(outgoing)  # the user's own may return anything
    except (RefusedError, NotAtOnceError):
        raise
    except Exception as e:  # its text may hold what was not to be seen
        raise PluginError(f"the plugin {name} failed ({type(e).__name__})") from e
    if not isinstance(result, OutgoingRequest) or not isinstance(result.body, bytes):
        raise PluginError(f"the plugin {name} returned no OutgoingRequest")
    return result


def _chosen(
    cloaking: Cloaking, key: bytes, custom: Iterable[Named], timer: Timer
) -> Iterator[Named]:
    """Yield the rewriters that are on and have something to do."""
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
        yield "wordObfuscator", WordObfuscator(key, finders, timer)


@dataclass(frozen=True, slots=True)
class Chain:
    """Several editors of a response as one."""

    editors: tuple[Editor, ...]

    @classmethod
    def of(cls, undo: Sequence[ResponseTransform], *, stream: bool) -> Self:
        """Return the editors of a response, the last rewriter's first."""
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
