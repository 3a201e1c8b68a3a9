"""What the tables of docs/fallback.md say is true, and they are fresh."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.translator.carried import ANSWERS, BEGIN, END, PAGE, Said, cells_of, page
from tests.translator.fates import COLUMNS, ROWS, Row, seen
from tests.translator.matrix.run import Asked, asking
from tests.translator.providers import KINDS, Provider
from tests.translator.running import Running

pytestmark = pytest.mark.timeout(120)  # the first test starts the translator


def named(provider: Provider) -> str:
    return next(name for name, kind in KINDS.items() if kind is provider.kind)


WRITTEN = PAGE.read_text()
PLACES = [(head, target) for head, targets in COLUMNS.items() for target in targets]


@pytest.fixture(scope="module", params=PLACES, ids=[target for _, target in PLACES])
def column(request: pytest.FixtureRequest, translator: Running) -> Iterator[tuple[str, Asked]]:
    head, target = request.param
    with asking(target, translator) as asked:
        yield head, asked


@pytest.mark.real("litellm")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_becomes_of_a_request(column: tuple[str, Asked], row: Row) -> None:
    head, asked = column
    assert seen(asked, row) == cells_of(WRITTEN)[row.name][head]


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
    assert {frozenset(said.fates) for said in ANSWERS} == {frozenset(KINDS)}
    words = {row.name: {fate.words for fate in row.fates} for row in ROWS}
    cells = cells_of(WRITTEN)
    strange = {name: set(cells[name].values()) - known for name, known in words.items()}
    assert {name: found for name, found in strange.items() if found} == {}


def test_the_page_has_the_form() -> None:
    assert BEGIN in WRITTEN
    assert END in WRITTEN
    assert page(WRITTEN, cells_of(WRITTEN)) == WRITTEN, "run: python -m tests.translator.carried"
