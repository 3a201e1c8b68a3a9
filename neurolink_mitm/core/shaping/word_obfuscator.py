from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from urllib.parse import unquote_plus

import msgspec

from neurolink_mitm.core.exchange import INFERENCE_KINDS, Kind
from neurolink_mitm.core.request import headers
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.request.json_spans import Span
from neurolink_mitm.core.shaping import strings
from neurolink_mitm.core.shaping.detectors import (
    Finder,
    FindInTime,
    Found,
    found_in,
    worth_asking,
)
from neurolink_mitm.core.shaping.expressions import PATIENCE, TooSlowError
from neurolink_mitm.core.shaping.outgoing import (
    About,
    NotAtOnceError,
    OutgoingRequest,
    RefusedError,
    ResponseTransform,
)
from neurolink_mitm.core.shaping.restoring import FORM, MARK, Placeholders, editor

AT_ONCE = 0.01
"""Seconds that the user's expressions may take on the event loop."""
EFFORT = 1 << 19
"""Bytes that may be searched on the event loop; each value and each string counts as some more."""
REMEMBERED = 1000
"""Replacements in one region of a request that are cached at most."""
REGIONS = 4096
"""Regions whose replacements are cached; the least recently used one is dropped first."""
UNTOUCHED = frozenset(
    {b"host", b"content-type", b"content-length", b"transfer-encoding", b"accept",
     b"accept-encoding", b"anthropic-version", b"anthropic-beta"}
)  # fmt: skip
"""Header fields that say how the request is to be read; they are not searched."""
TOGETHER = 1000
"""Strings that are searched together."""
Timer = Callable[[], float]
_TOKEN_IDS = re.compile(rb"\[[\s\[]*+[-\d]")
LISTED = (
    "it holds what the word obfuscator is to keep here, and only /v1/messages and"
    " /v1/messages/count_tokens can be sent with placeholders: cloaking.plugins.wordObfuscator"
)
IN_TARGET = "its path or query holds what the word obfuscator is to keep here"
ENCODED = "its body is compressed, so the word obfuscator can't look through it"
TOKENIZED = (
    "its input is token ids, which the word obfuscator can't look through: send it as text"
    " (LangChain: check_embedding_ctx_length=False)"
)
UNREADABLE = (
    "its body is no JSON that the word obfuscator can look through, or a name occurs twice in it"
)


class Replaced(msgspec.Struct, frozen=True, gc=False):
    """A replacement: a place in a region, its placeholder, and the text before."""

    start: int
    end: int
    placeholder: str
    text: str
    kind: str


@dataclass(slots=True)
class Tally:
    """The placeholders of one request with their texts, the number of each kind, and what a search may still take."""

    timer: Timer
    seconds: float
    """Seconds for all of the user's expressions together; nothing else counts."""
    effort: float
    """Bytes that may be searched."""
    table: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def find(self, text: str, finders: Iterable[Finder]) -> list[Found]:
        """Return what `finders` find in `text`. Raises `TooSlowError`."""
        return found_in(text, finders, self._in_time)

    def _in_time(self, find: FindInTime, text: str) -> list[tuple[int, int]]:
        began = self.timer()
        try:
            return list(find(text, self.seconds))
        finally:
            self.seconds -= self.timer() - began

    def spend(self, effort: int) -> None:
        """Count bytes that are searched. Raises `NotAtOnceError` when there are too many."""
        self.effort -= effort
        if self.effort < 0:
            raise NotAtOnceError

    def add(self, each: Replaced) -> None:
        if self.table.setdefault(each.placeholder, each.text) != each.text:
            raise ValueError("two texts have one placeholder")  # once in 2^48
        self.counts[each.kind.lower()] += 1


_PLACEHOLDERS = Finder(
    "TEXT", lambda text: (m.span() for m in FORM.finditer(text)), lambda text: MARK in text
)
"""Finds placeholders in the user's own text: each gets one itself, so that it isn't taken for one of ours."""


class WordObfuscator:
    """Replaces words by placeholders in the request, and placeholders by words in the response."""

    def __init__(self, key: bytes, finders: Sequence[Finder], timer: Timer = lambda: 0.0) -> None:
        self._finders = (*finders, _PLACEHOLDERS)
        self._placeholders = Placeholders(key)
        self._timer = timer
        self._known: OrderedDict[bytes, tuple[Replaced, ...]] = OrderedDict()

    def rewrite(self, outgoing: OutgoingRequest) -> OutgoingRequest:
        limits = (AT_ONCE, EFFORT) if outgoing.at_once else (PATIENCE, math.inf)
        try:
            return self._rewritten(outgoing, Tally(self._timer, *limits))
        except TooSlowError as e:
            raise (NotAtOnceError if outgoing.at_once else RefusedError(str(e))) from None

    def _rewritten(self, outgoing: OutgoingRequest, tally: Tally) -> OutgoingRequest:
        self._ask_target(outgoing.about, tally)
        fields = self._fields(outgoing.fields, tally)
        body = outgoing.body
        if outgoing.about.kind in INFERENCE_KINDS:
            body = self._readable(outgoing, tally)
        elif body:
            self._refuse(outgoing, tally)
        if not tally.table:
            return outgoing if fields == outgoing.fields else replace(outgoing, fields=fields)
        counts = Counter(outgoing.counts) + tally.counts
        restore: ResponseTransform = partial(editor, tally.table)
        undo = (*outgoing.undo, restore)
        return replace(outgoing, fields=fields, body=body, counts=counts, undo=undo)

    def _ask_target(self, about: About, tally: Tally) -> None:
        """Refuse a path or query with something to replace: a response can't put it right."""
        path, _, query = about.target.partition("?")
        asked = query if about.kind in INFERENCE_KINDS else f"{path.removeprefix('/v1/')}?{query}"
        if any(tally.find(text, self._finders) for text in (asked, unquote_plus(asked))):
            raise RefusedError(IN_TARGET)

    def _refuse(self, outgoing: OutgoingRequest, tally: Tally) -> None:
        """Refuse a body with something to replace that is no conversation, or that can't be searched."""
        if (headers.get(outgoing.fields, b"content-encoding") or "identity").lower() != "identity":
            raise RefusedError(ENCODED)
        tally.spend(len(outgoing.body))
        text = outgoing.body.replace(b"\0", b"").decode("utf-8", "replace")  # UTF-16 has them
        forms = (text, strings.unescaped(text)) if "\\" in text else (text,)
        if any(tally.find(form, self._finders) for form in forms):
            raise RefusedError(LISTED)

    def _fields(self, fields: headers.Fields, tally: Tally) -> headers.Fields:
        """Replace words in header fields; a field with a word in its name is removed."""
        result = []
        for name, value in fields:
            if name.lower() in UNTOUCHED:
                result.append((name, value))
            elif not tally.find(name.decode("latin-1"), self._finders):
                result.append((name, self._value(value, tally)))
        return tuple(result)

    def _value(self, value: bytes, tally: Tally) -> bytes:
        try:
            encoding, text = "utf-8", value.decode()
        except UnicodeDecodeError:
            encoding, text = "latin-1", value.decode("latin-1")
        pieces, at = [], 0
        for found in tally.find(text, self._finders):
            each = self._replaced(text, found, 0, 0)
            tally.add(each)
            pieces += [text[at : found.start], each.placeholder]
            at = found.end
        return "".join((*pieces, text[at:])).encode(encoding) if at else value

    def _readable(self, outgoing: OutgoingRequest, tally: Tally) -> bytes:
        """Replace words in the body; a malformed one is refused, since it is unknown what it contains."""
        body = outgoing.body
        tally.spend(len(body) // 8 + 10 * body.count(b","))
        try:
            index = outgoing.indexed()
            if outgoing.about.kind is Kind.EMBEDDINGS and _is_tokenized(index):
                raise RefusedError(TOKENIZED)
            return self._body(index, tally)
        except ValueError as e:
            raise RefusedError(UNREADABLE) from e

    def _body(self, index: BodyIndex, tally: Tally) -> bytes:
        """Replace words region by region: there may be a million places. Raises `ValueError`."""
        body, result, at = index.body, bytearray(), 0
        for region in strings.regions(index):
            for each in self._in_region(body, region, tally):
                tally.add(each)
                result += body[at : region.start + each.start]
                result += each.placeholder.encode()
                at = region.start + each.end
        if not at:
            return body
        result += body[at:]
        return bytes(result)

    def _in_region(self, body: bytes, region: Span, tally: Tally) -> Iterable[Replaced]:
        """Return the replacements in a region, cached by its digest: history and tools are the same in each request."""
        raw = region.of(body)
        digest = hashlib.blake2b(raw, digest_size=16).digest()
        known = self._known.pop(digest, None)
        if known is None:
            tally.spend(len(raw) + 50 * raw.count(b'"'))
            return self._remembering(digest, self._look_through(raw, tally))
        self._known[digest] = known
        return known

    def _remembering(self, digest: bytes, found: Iterator[Replaced]) -> Iterator[Replaced]:
        first = tuple(islice(found, REMEMBERED + 1))
        yield from first
        yield from found
        if len(first) <= REMEMBERED:
            self._known[digest] = first
        while len(self._known) > REGIONS:
            self._known.popitem(last=False)

    def _look_through(self, raw: bytes, tally: Tally) -> Iterator[Replaced]:
        inside = strings.texts(raw, Span(0, len(raw)))
        while places := list(islice(inside, TOGETHER)):
            texts = spans.texts(raw, places)
            finders = worth_asking(self._finders, texts)
            for at, text in zip(places, texts, strict=True) if finders else ():
                if found := tally.find(text, finders):
                    yield from self._in_string(raw, at, text, found)

    def _in_string(
        self, raw: bytes, inside: Span, text: str, found: list[Found]
    ) -> Iterator[Replaced]:
        places = strings.Written(inside.of(raw).decode())
        for each in found:
            start, end = places.place(each.start), places.place(each.end)
            yield self._replaced(text, each, inside.start + start, inside.start + end)

    def _replaced(self, text: str, found: Found, start: int, end: int) -> Replaced:
        word = text[found.start : found.end]
        return Replaced(start, end, self._placeholders.make(found.kind, word), word, found.kind)


def _is_tokenized(index: BodyIndex) -> bool:
    """Return whether the `input` of a request for embeddings is token ids. Raises `ValueError`."""
    span = index.member("input")
    return span is not None and _TOKEN_IDS.match(index.body, span.start) is not None
