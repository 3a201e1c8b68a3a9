"""Returns the text of PDFs, each read by a process of its own (`pdf_reader`), and keeps it for the next turn."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.providers.pdf import (
    BROKEN,
    TOO_LARGE,
    TOO_SLOW,
    UNREAD,
    Pdf,
)
from neurolink_mitm.translator.pdf_reader import HEADER

logger = logging.getLogger("neurolink.translator")

LARGEST = 44 * 1024 * 1024
"""Bytes of base64 that are read: a PDF of 32 MB, which is what Anthropic takes."""
SLOWEST = 30.0
"""Seconds after which a process that reads is killed. It has 20 s of processor time, on a busy machine for longer."""
PATIENCE = 40.0
"""Seconds that a request waits for all its PDFs; those not read by then are named only."""
AT_ONCE = 2
"""Processes that read at the same time."""
KEPT_CHARACTERS = 16_000_000
KEPT_PDFS = 1_000
"""What is kept of PDFs, since Claude Code sends the whole history again with each turn; the longest unused go first."""
MOST_OUTPUT = 4 * 1024 * 1024
"""Bytes that a process may print: far more than the text that it may return."""


@dataclass(slots=True)
class _Reading:
    """A PDF that is being read, and how many requests wait for it."""

    task: asyncio.Task[Pdf]
    waiting: int = 0


@dataclass
class Pdfs:
    """Reads PDFs, on one event loop."""

    slowest: float = SLOWEST
    patience: float = PATIENCE
    _kept: OrderedDict[bytes, Pdf] = field(default_factory=OrderedDict)
    _size: int = 0
    _readings: dict[bytes, _Reading] = field(default_factory=dict)
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def read(self, encoded: Iterable[str]) -> dict[str, Pdf]:
        """Return what is in each PDF, by its base64; within `patience`, whatever the PDFs are."""
        wanted = list(encoded)
        reading = [asyncio.ensure_future(self._one(each)) for each in wanted]
        try:
            if reading:
                await asyncio.wait(reading, timeout=self.patience)
            return {
                each: done.result() if done.done() else Pdf(why=TOO_SLOW)
                for each, done in zip(wanted, reading, strict=True)
            }
        finally:
            for each in reading:
                each.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def _one(self, encoded: str) -> Pdf:
        """Return what is in a PDF: what is kept, or what a process reads, one process however many requests wait."""
        if len(encoded) > LARGEST:
            return Pdf(why=TOO_LARGE)
        data = encoded.encode("ascii", "replace")
        key = await asyncio.to_thread(_digest, data)
        if kept := self._kept.get(key):
            self._kept.move_to_end(key)
            return kept
        reading = self._readings.get(key) or self._begin(key, data)
        reading.waiting += 1
        try:
            return await asyncio.shield(reading.task)
        finally:
            reading.waiting -= 1
            if not reading.waiting:
                self._forget(key, reading)
                reading.task.cancel()
                await asyncio.wait((reading.task,))

    def _begin(self, key: bytes, data: bytes) -> _Reading:
        task = asyncio.create_task(self._read(key, data), name="reading a PDF")
        self._readings[key] = reading = _Reading(task)
        task.add_done_callback(lambda _: self._forget(key, reading))
        return reading

    def _forget(self, key: bytes, reading: _Reading) -> None:
        if self._readings.get(key) is reading:
            del self._readings[key]

    async def _read(self, key: bytes, data: bytes) -> Pdf:
        try:
            async with self._turns:
                pdf = await _in_process(data, self.slowest)
        except OSError as e:
            logger.warning("a PDF can't be read: %s", e.strerror or type(e).__name__)
            return UNREAD  # not kept: it says nothing of the PDF
        self._keep(key, pdf)
        return pdf

    def _keep(self, key: bytes, pdf: Pdf) -> None:
        self._kept[key] = pdf
        self._size += pdf.size
        while self._size > KEPT_CHARACTERS or len(self._kept) > KEPT_PDFS:
            _, oldest = self._kept.popitem(last=False)
            self._size -= oldest.size


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


async def _in_process(data: bytes, limit: float) -> Pdf:
    """Return what a process reads of `data` (base64) within `limit` seconds. Raises `OSError`: it can't be started."""
    process = await asyncio.create_subprocess_exec(
        # -I: neither variables nor the current directory say what is imported
        sys.executable, "-I", "-m", "neurolink_mitm.translator.pdf_reader",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL, env={"PATH": os.defpath},
    )  # fmt: skip
    printed, slow = bytearray(), False
    try:
        async with asyncio.timeout(limit):
            await _exchange(process, data, printed)
    except TimeoutError:
        slow = True
    finally:
        await _killed(process)
    return _pdf(bytes(printed), TOO_SLOW if slow else _ENDS.get(process.returncode, BROKEN))


_ENDS: Mapping[int | None, str] = {-signal.SIGXCPU: TOO_SLOW, -signal.SIGKILL: TOO_LARGE}
"""What the end of a process says of its PDF: its time was up; the system had no memory left."""


async def _exchange(process: asyncio.subprocess.Process, data: bytes, printed: bytearray) -> None:
    """Send `data`, and add to `printed` what the process prints until it ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(ConnectionError):  # it has ended: what it printed says why
        process.stdin.write(len(data).to_bytes(HEADER, "big"))
        process.stdin.write(data)
        await process.stdin.drain()
    while len(printed) < MOST_OUTPUT and (piece := await process.stdout.read(1 << 16)):
        printed += piece
    if len(printed) < MOST_OUTPUT:
        await process.wait()


async def _killed(process: asyncio.subprocess.Process) -> None:
    """Kill the process if it still runs, and take its end."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()


def _pdf(printed: bytes, otherwise: str) -> Pdf:
    """Return the PDF by the lines that were printed; `otherwise` is its `why` if the last line is missing."""
    pages, title, texts = 0, "", []
    for line in printed.split(b"\n"):
        try:
            value = msgspec.json.decode(line)
        except UNREADABLE:
            break  # the end, or a line that is not whole
        if isinstance(value, str):
            texts.append(value)
        elif "why" in value:
            return Pdf(pages, title, tuple(texts), value["why"])
        else:
            pages, title = value["pages"], value["title"]
    return Pdf(pages, title, tuple(texts), otherwise)
