from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from neurolink_mitm.core.settings import shaping
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins
from neurolink_mitm.core.shaping.outgoing import Editor, OutgoingRequest, RefusedError
from neurolink_mitm.core.shaping.pipeline import Chain, Pipeline, PluginError
from tests.core.shaping.drafts import draft


def names(cloaking: Cloaking, **more: Any) -> list[str]:
    return [name for name, _ in Pipeline.of(cloaking, b"key", **more).rewriters]


EVERYTHING = Plugins(
    shaping.TlsFingerprint(True, {"h": ("ab",)}),
    shaping.HeaderScrubber(),
    shaping.SessionIdentity(),
    shaping.SystemPromptInjector(True, ("Our bluebird rules.",)),
    shaping.WordObfuscator(True, ("bluebird",)),
)


@dataclass
class Marked:
    """Adds a letter to the body, and to every chunk of the answer."""

    letter: bytes

    def rewrite(self, sent: OutgoingRequest) -> OutgoingRequest:
        return replace(sent, body=sent.body + self.letter, undo=(*sent.undo, self._undo))

    def _undo(self, stream: bool) -> Editor:
        return self

    def feed(self, chunk: bytes) -> bytes:
        return chunk + self.letter

    def end(self) -> bytes:
        return b"." + self.letter


def test_two_are_on_by_default() -> None:
    assert names(Cloaking()) == ["headerScrubber", "sessionIdentity"]


def test_all_in_order_the_users_own_before_the_words() -> None:
    assert names(Cloaking(plugins=EVERYTHING), custom=[("mine", Marked(b"a"))]) == [
        "tlsFingerprint", "headerScrubber", "sessionIdentity", "systemPromptInjector", "mine",
        "wordObfuscator",
    ]  # fmt: skip


def test_what_has_nothing_to_do_is_left_out() -> None:
    idle = Plugins(shaping.TlsFingerprint(True), word_obfuscator=shaping.WordObfuscator(True))
    assert names(Cloaking(plugins=idle)) == names(Cloaking())


def test_never_is_none() -> None:
    assert names(Cloaking("never", EVERYTHING), custom=[("mine", Marked(b"a"))]) == []


@pytest.mark.parametrize(
    ("mode", "shaped"),
    [("auto", ["oauth"]), ("always", ["oauth", "api_key", "provider"]), ("never", [])],
)
def test_for_whom_they_run(mode: Any, shaped: list[str]) -> None:
    pipeline = Pipeline.of(Cloaking(mode), b"key")
    assert [each for each in ("oauth", "api_key", "provider") if pipeline.applies(each)] == shaped


def test_with_nothing_to_change_the_very_same_bytes_leave() -> None:
    before = draft({"model": "m", "messages": []})
    assert Pipeline.of(Cloaking(), b"key").shape(before) is before


def test_what_the_injector_adds_is_looked_through() -> None:
    sent = Pipeline.of(Cloaking(plugins=EVERYTHING), b"key").shape(draft({"messages": []}))
    assert "bluebird" not in json.loads(sent.body)["system"][0]["text"]


@pytest.mark.parametrize(
    ("host", "account", "pins"),
    [
        ("A.example", "oauth", ("ab" * 32,)),
        ("b.example", "oauth", None),
        ("a.example", "api_key", None),
    ],
)
def test_the_certificates_that_a_host_may_show(
    host: str, account: str, pins: tuple[str, ...] | None
) -> None:
    pinned = shaping.TlsFingerprint(True, {"a.example": ("ab" * 32,)})
    pipeline = Pipeline.of(Cloaking(plugins=Plugins(tls_fingerprint=pinned)), b"key")
    assert pipeline.pins_of(host, account) == pins
    assert Pipeline.of(Cloaking(), b"key").pins_of(host, account) is None


def test_answers_go_through_in_reverse() -> None:
    pipeline = Pipeline("always", (("a", Marked(b"a")), ("b", Marked(b"b"))))
    sent = pipeline.shape(draft(b""))
    chain = Chain.of(sent.undo, stream=True)
    assert (sent.body, chain.feed(b"x"), chain.feed(b""), chain.end()) == (
        b"ab",
        b"xba",
        b"",
        b".ba.a",
    )


class Broken:
    def __init__(self, result: Any) -> None:
        self.result = result

    def rewrite(self, sent: OutgoingRequest) -> OutgoingRequest:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result  # type: ignore[no-any-return]


@pytest.mark.parametrize("result", [KeyError("a secret"), None, "text", draft("x")], ids=repr)
def test_one_that_fails_is_told_by_its_name_alone(result: Any) -> None:
    if isinstance(result, OutgoingRequest):
        result = replace(result, body="text")
    with pytest.raises(PluginError, match="the plugin mine") as caught:
        Pipeline("always", (("mine", Broken(result)),)).shape(draft(b""))
    assert "secret" not in str(caught.value)


def test_a_refusal_is_passed_on() -> None:
    with pytest.raises(RefusedError, match="no"):
        Pipeline("always", (("mine", Broken(RefusedError("no"))),)).shape(draft(b""))
