"""PDFs are read by processes of their own, whatever is in them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import psutil
import pytest

from neurolink_mitm.core.providers.pdf import NO_TEXT, NOT_READ, TOO_LARGE, TOO_SLOW, Pdf, pdf_words
from neurolink_mitm.translator import pdf as module
from neurolink_mitm.translator.pdf import LARGEST, Pdfs
from tests.pdfs import HOSTILE, encoded, pdf, slow
from tests.waiting import wait_until

LIMIT = 60.0
SLOW = encoded(slow())
"""Takes seconds."""


def readers() -> list[psutil.Process]:
    """The processes that read."""
    found = []
    for child in psutil.Process().children():
        try:
            if "neurolink_mitm.translator.pdf_reader" in child.cmdline():
                found.append(child)
        except psutil.Error:  # it has just ended
            continue
    return found


async def read(pdfs: Pdfs, encoded: str) -> Pdf:
    return (await pdfs.read([encoded]))[encoded]


async def test_a_text_is_read_once() -> None:
    pdfs, given = Pdfs(), encoded(pdf("one", title="T"))
    both = await asyncio.gather(read(pdfs, given), read(pdfs, given))
    assert both == [Pdf(1, "T", ("one",))] * 2
    assert both[0] is both[1] is await read(pdfs, given)


async def test_several_at_once() -> None:
    given = [encoded(pdf(str(n))) for n in range(5)]
    found = await Pdfs().read(given)
    assert [found[each].texts for each in given] == [(str(n),) for n in range(5)]
    assert await Pdfs().read([]) == {}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
async def test_whatever_a_pdf_does_it_becomes_words(make: Callable[[], bytes]) -> None:
    found = await read(Pdfs(), encoded(make()))
    said = pdf_words("R", found)
    assert said.encode()
    assert len(said) < 1_000
    assert not readers()


async def test_what_no_machine_should_read_is_named() -> None:
    assert await read(Pdfs(), "A" * (LARGEST + 1)) == Pdf(why=TOO_LARGE)


async def test_what_is_no_ascii_is_broken() -> None:
    assert (await read(Pdfs(), "ü" * 9)).why


async def test_a_scanned_one() -> None:
    found = await read(Pdfs(), encoded(pdf("", "")))
    assert f"2 pages, of which this model can see nothing: {NO_TEXT}" in pdf_words("", found)


async def test_one_that_takes_too_long_is_killed_and_not_read_again() -> None:
    pdfs = Pdfs(slowest=0.5)
    found = await read(pdfs, SLOW)
    assert (found.texts, found.why) == ((), TOO_SLOW)
    assert not readers()
    assert await read(pdfs, SLOW) is found


async def test_who_waits_does_not_wait_for_ever() -> None:
    pdfs = Pdfs(patience=0.5)
    found = await pdfs.read([SLOW])
    assert found[SLOW].why == TOO_SLOW
    await asyncio.to_thread(wait_until, lambda: not readers(), "nobody reads", LIMIT)


async def test_when_its_client_leaves_nobody_reads_on() -> None:
    pdfs = Pdfs()
    asking = asyncio.create_task(pdfs.read([SLOW]))
    await asyncio.to_thread(wait_until, readers, "it is read", LIMIT)
    (process,) = readers()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_when_one_client_leaves_the_other_gets_it() -> None:
    pdfs, given = Pdfs(), encoded(pdf("one"))
    first, second = (asyncio.create_task(read(pdfs, given)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).texts == ("one",)


async def test_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    pdfs, given = Pdfs(), encoded(pdf("one"))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nowhere/python")
        assert await read(pdfs, given) == Pdf(why=NOT_READ)
    assert (await read(pdfs, given)).texts == ("one",), "that said nothing of the PDF"


async def test_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_CHARACTERS", 5)
    pdfs = Pdfs()
    first, second = encoded(pdf("one")), encoded(pdf("two"))
    found = await read(pdfs, first)
    assert await read(pdfs, first) is found
    await read(pdfs, second)
    assert await read(pdfs, first) is not found, "the longest unused has gone"
