"""What the sandbox received and what it sent, kept for tests: the last few requests only."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

Headers = list[tuple[str, str]]
Requests = list["Received"]


@dataclass
class Received:
    """A request and what became of it. Times are of `time.monotonic`, the same in all processes."""

    method: str
    path: str  # with the query
    headers: Headers  # in order, names in lower case
    time: float  # when the head was read
    request_id: str  # as in the answer's `request-id`
    body: bytes = b""
    too_large: bool = False  # and the body therefore not kept
    account: str | None = None
    status: int | None = None  # of the head that was sent
    sent: list[tuple[float, bytes]] = field(default_factory=list)  # each write of the answer's body
    disconnected: bool = False  # the client left before the end of the answer
    done: bool = False  # nothing more will change here

    @property
    def answer(self) -> bytes:
        return b"".join(data for _, data in self.sent)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)


class Recorder:
    """Written by the server's thread, read by any."""

    def __init__(self, keep: int, bodies: bool) -> None:
        self.bodies = bodies
        self._requests: deque[Received] = deque(maxlen=keep)
        self._changed = threading.Condition()

    @property
    def requests(self) -> Requests:
        with self._changed:
            return list(self._requests)

    def clear(self) -> None:
        with self._changed:
            self._requests.clear()

    def wait_for(self, predicate: Callable[[Requests], bool], timeout: float) -> Requests:
        """A predicate on a request that hasn't come yet doesn't hold. Raises TimeoutError."""

        def holds() -> bool:
            try:
                return predicate(list(self._requests))
            except IndexError:
                return False

        with self._changed:
            if not self._changed.wait_for(holds, timeout):
                seen = [(r.method, r.path, r.status, r.disconnected) for r in self._requests]
                raise TimeoutError(f"not so within {timeout} s; received: {seen}")
            return list(self._requests)

    def received(self, request: Received) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def admitted(self, request: Received, account: str) -> None:
        with self._changed:
            request.account = account
            self._changed.notify_all()

    def head_sent(self, request: Received, status: int) -> None:
        with self._changed:
            request.status = status
            self._changed.notify_all()

    def body_sent(self, request: Received, data: bytes) -> None:
        if self.bodies:
            with self._changed:
                request.sent.append((time.monotonic(), data))
                self._changed.notify_all()

    def left(self, request: Received) -> None:
        with self._changed:
            request.disconnected = True
            self._changed.notify_all()

    def finished(self, request: Received) -> None:
        with self._changed:
            request.done = True
            if not self.bodies:
                request.body = b""
            self._changed.notify_all()
