"""What the tables of docs/fallback.md say is true, and they are fresh."""

from __future__ import annotations

import pytest

from tests.lookalikes.script import say
from tests.translator.carried import ANSWERS, BEGIN, END, PAGE, ROWS, Row, Said, page
from tests.translator.providers import KINDS, Provider

pytestmark = pytest.mark.timeout(120)  # the first test starts the translator


def named(provider: Provider) -> str:
    return next(name for name, kind in KINDS.items() if kind is provider.kind)


@pytest.mark.real("litellm")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_becomes_of_a_request(provider: Provider, row: Row) -> None:
    fate = row.fates[named(provider)]
    before = len(provider.asked)
    if not fate.refused:
        provider.lookalike.script.add(say("so"))
    answer = provider.ask(stream=True, **row.fields)
    if fate.refused:
        assert answer.status_code == 400
        assert len(provider.asked) == before
        return
    assert answer.status_code == 200, answer.text
    received = provider.received
    assert [part for part in fate.holds if part not in received] == [], received
    assert [part for part in fate.lacks if part in received] == [], received


@pytest.mark.real("litellm")
@pytest.mark.parametrize("said", ANSWERS, ids=lambda said: said.name)
def test_what_becomes_of_an_answer(provider: Provider, said: Said) -> None:
    _, kinds, reason = said.fates[named(provider)]
    if reason is None:
        assert provider.answer(said.reply, stream=True, **said.fields).status_code >= 500
        return
    message = provider.told(said.reply, stream=True, **said.fields)
    assert ([block["type"] for block in message.content], message.stop_reason) == (kinds, reason)


def test_every_row_says_what_each_provider_does() -> None:
    assert {frozenset(row.fates) for row in (*ROWS, *ANSWERS)} == {frozenset(KINDS)}


def test_the_page_is_fresh() -> None:
    written = PAGE.read_text()
    assert BEGIN in written
    assert END in written
    assert written == page(written), "run: python -m tests.translator.carried"
