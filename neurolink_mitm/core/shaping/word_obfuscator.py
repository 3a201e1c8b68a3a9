from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import unquote_plus

from neurolink_mitm.core import headers
from neurolink_mitm.core import json_spans as spans
from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.json_spans import Edit, Span
from neurolink_mitm.core.shaping import strings
from neurolink_mitm.core.shaping.detectors import Finder, Found, found_in, worth_asking
from neurolink_mitm.core.shaping.draft import About, Draft, RefusedError, Undo
from neurolink_mitm.core.shaping.placeholders import FORM, MARK, Placeholders
from neurolink_mitm.core.shaping.restoring import Table, editor

REGIONS = 4096
"""Parts of requests whose changes are remembered; the one longest unused is forgotten first."""
UNTOUCHED = frozenset(
    {b"host", b"content-type", b"content-length", b"transfer-encoding", b"accept",
     b"accept-encoding", b"anthropic-version", b"anthropic-beta"}
)  # fmt: skip
"""Header fields that say how the request is to be read."""
CONVERSATIONS = (Kind.MESSAGES, Kind.COUNT_TOKENS)
LISTED = (
    "it holds what the word obfuscator is to keep here, and only /v1/messages and"
    " /v1/messages/count_tokens can be sent with placeholders: cloaking.plugins.wordObfuscator"
)
IN_TARGET = "its path or query holds what the word obfuscator is to keep here"
ENCODED = "its body is compressed, so the word obfuscator can't look through it"
UNREADABLE = (
    "its body is no JSON that the word obfuscator can look through, or a name occurs twice in it"
)


@dataclass(frozen=True, slots=True)
class Replaced:
    """A place in a region, and what takes the place of what."""

    start: int
    end: int
    placeholder: str
    text: str
    kind: str


@dataclass(slots=True)
class Tally:
    """What the placeholders of one request stand for, and how many there are of each kind."""

    table: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, each: Replaced) -> None:
        if self.table.setdefault(each.placeholder, each.text) != each.text:
            raise ValueError("two texts have one placeholder")  # once in 2^48
        self.counts[each.kind.lower()] += 1


class WordObfuscator:
    """Placeholders in place of words, on the way out; the words again in the answer."""

    def __init__(self, key: bytes, finders: Sequence[Finder]) -> None:
        # a placeholder in the user's own text gets one itself, so that it isn't taken for one of ours
        own = Finder(
            "TEXT", lambda text: (m.span() for m in FORM.finditer(text)), lambda text: MARK in text
        )
        self._finders = (*finders, own)
        self._placeholders = Placeholders(key)
        self._known: OrderedDict[bytes, tuple[Replaced, ...]] = OrderedDict()

    def rewrite(self, draft: Draft) -> Draft:
        self._ask_target(draft.about)
        tally = Tally()
        fields = self._fields(draft.fields, tally)
        body = draft.body
        if draft.about.kind in CONVERSATIONS:
            body = self._readable(body, tally)
        elif body:
            self._refuse(draft)
        if not tally.table and fields == draft.fields:
            return draft
        return replace(
            draft,
            fields=fields,
            body=body,
            counts=Counter(draft.counts) + tally.counts,
            undo=(*draft.undo, _undo(tally.table)) if tally.table else draft.undo,
        )

    def _ask_target(self, about: About) -> None:
        """The API's own path says nothing; what follows it can't be put right in an answer."""
        path, _, query = about.target.partition("?")
        asked = query if about.kind in CONVERSATIONS else f"{path.removeprefix('/v1/')}?{query}"
        if any(found_in(text, self._finders) for text in (asked, unquote_plus(asked))):
            raise RefusedError(IN_TARGET)

    def _refuse(self, draft: Draft) -> None:
        """What could not be put right in the answer, or can't be looked through."""
        if (headers.get(draft.fields, b"content-encoding") or "identity").lower() != "identity":
            raise RefusedError(ENCODED)
        if self._found(draft.body):
            raise RefusedError(LISTED)

    def _fields(self, fields: headers.Fields, tally: Tally) -> headers.Fields:
        """A field whose name has a word in it goes."""
        result = []
        for name, value in fields:
            if name.lower() in UNTOUCHED:
                result.append((name, value))
            elif not found_in(name.decode("latin-1"), self._finders):
                result.append((name, self._value(value, tally)))
        return tuple(result)

    def _value(self, value: bytes, tally: Tally) -> bytes:
        encoding = "utf-8" if _is_utf8(value) else "latin-1"
        text = value.decode(encoding)
        pieces, at = [], 0
        for found in found_in(text, self._finders):
            each = self._replaced(text, found, 0, 0)
            tally.add(each)
            pieces += [text[at : found.start], each.placeholder]
            at = found.end
        return "".join((*pieces, text[at:])).encode(encoding) if at else value

    def _readable(self, body: bytes, tally: Tally) -> bytes:
        """Of what can't be read, nobody knows what is in it."""
        try:
            return self._body(body, tally)
        except ValueError as e:
            raise RefusedError(UNREADABLE) from e

    def _body(self, body: bytes, tally: Tally) -> bytes:
        """Raises `ValueError`."""
        edits = []
        for region in strings.regions(body):
            for each in self._in_region(body, region):
                tally.add(each)
                at = Span(region.start + each.start, region.start + each.end)
                edits.append(Edit(at, each.placeholder.encode()))
        return spans.apply(body, edits)

    def _in_region(self, body: bytes, region: Span) -> tuple[Replaced, ...]:
        """Remembered by its digest: the history and the tools come again with each request."""
        raw = region.of(body)
        digest = hashlib.blake2b(raw, digest_size=16).digest()
        known = self._known.pop(digest, None)
        if known is None:
            known = tuple(self._look_through(raw))
        self._known[digest] = known
        while len(self._known) > REGIONS:
            self._known.popitem(last=False)
        return known

    def _look_through(self, raw: bytes) -> Iterator[Replaced]:
        places = list(strings.texts(raw, Span(0, len(raw))))
        texts = spans.texts(raw, places)
        finders = worth_asking(self._finders, texts)
        if not finders:
            return
        for inside, text in zip(places, texts, strict=True):
            if found := found_in(text, finders):
                yield from self._in_string(raw, inside, text, found)

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

    def _found(self, body: bytes) -> bool:
        """In whatever form: a file, a batch."""
        text = body.replace(b"\0", b"").decode("utf-8", "replace")  # UTF-16 has them
        if found_in(text, self._finders):
            return True
        tokens = spans.STRING.finditer(body) if b"\\" in body else ()
        return any(self._in_token(token[0]) for token in tokens)

    def _in_token(self, token: bytes) -> bool:
        try:
            return bool(found_in(spans.text(token, Span(0, len(token))) or "", self._finders))
        except ValueError:
            return False


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _undo(table: Table) -> Undo:
    return lambda stream: editor(table, stream=stream)
