"""What a client writes into its message for upstream: its number, when it was sent, the stream it wants."""

import json
import re
import time
from dataclasses import dataclass

_WANTED = re.compile(rb"clustertest (\d+) sent (\d+\.\d+) events (\d+) pause (\d+\.\d+)")
MODEL = "claude-sonnet-4-5-20250929"


@dataclass(frozen=True)
class Wanted:
    """A request's number, the time when it was sent, and events and pauses (seconds) of its stream."""

    number: int
    sent: float
    events: int = 8
    pause: float = 0.0


def request_body(number: int, events: int, pause: float) -> tuple[bytes, float]:
    """Return the body of a request that is sent now, and the time."""
    sent = time.time()
    words = f"clustertest {number} sent {sent:.6f} events {events} pause {pause:.6f}"
    message = {
        "model": MODEL,
        "max_tokens": 1024,
        "stream": True,
        "messages": [{"role": "user", "content": words}],
    }
    return json.dumps(message).encode(), sent


def read_wanted(body: bytes) -> Wanted:
    """Return what a body wants. One that the test has not made has number 0."""
    found = _WANTED.search(body)
    if not found:
        return Wanted(0, 0.0)
    return Wanted(int(found[1]), float(found[2]), int(found[3]), float(found[4]))
