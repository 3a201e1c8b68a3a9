"""What may block, in threads of its own: a slow proxy or a locked file never stops the screen or the keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue

from neurolink_mitm.cli.proxy.status import StatusResult
from neurolink_mitm.cli.ui.exits import FAILED

Query = Mapping[str, str]
UNFINISHED = "not finished: what was asked for last may not be done"
Ask = Callable[[dict[str, str]], StatusResult]


@dataclass(frozen=True, slots=True)
class Answer:
    """A result of `/status`, the query that it answers, and when it came (seconds since the epoch)."""

    result: StatusResult
    query: Query
    at: float


@dataclass
class Poller:
    """Asks for the report every `interval` seconds, and at once after `hurry`; `wake` is called after each answer."""

    ask: Ask
    interval: float
    wake: Callable[[], None]
    query: Query = field(default_factory=dict)
    last: Answer | None = None
    report: Answer | None = None
    """The last answer with a report."""
    asked_at: float | None = None
    """When the question was asked that has no answer yet, on the monotonic clock."""
    _due: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def hurry(self) -> None:
        self._due.set()

    def _run(self) -> None:
        while True:
            self._due.clear()
            query, self.asked_at = dict(self.query), time.monotonic()
            answer = Answer(self._result(query), query, time.time())
            self.asked_at, self.last = None, answer
            if answer.result.report is not None:
                self.report = answer
            self.wake()
            self._due.wait(self.interval)

    def _result(self, query: dict[str, str]) -> StatusResult:
        try:
            result = self.ask(query)
            if result.report is not None:
                _ = [(each["key"], each["label"]) for each in result.report["stats"]["accounts"]]
        except Exception as e:  # whatever answers there, the thread goes on
            return StatusResult(None, f"no report that can be read: {e!r:.100}", FAILED)
        return result


@dataclass
class Doer:
    """Does one thing after the other; `wake` is called after each."""

    wake: Callable[[], None]
    messages: SimpleQueue[str] = field(default_factory=SimpleQueue)
    """What became of each."""
    _tasks: SimpleQueue[Callable[[], str]] = field(default_factory=SimpleQueue)

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def do(self, task: Callable[[], str]) -> None:
        self._tasks.put(task)

    def finish(self, seconds: float) -> list[str]:
        """Wait until all is done, `seconds` at the most; return the messages that nobody has taken."""
        end = threading.Event()

        def mark() -> str:
            end.set()
            return ""

        self.do(mark)
        done = end.wait(seconds)
        rest = [self.messages.get() for _ in range(self.messages.qsize())]
        return [each for each in (*rest, "" if done else UNFINISHED) if each]

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                self.messages.put(task())
            except Exception as e:  # the next action is done all the same
                self.messages.put(f"failed: {e!r:.200}")
            self.wake()
