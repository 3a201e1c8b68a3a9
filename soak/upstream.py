"""One account's upstream: the sandbox, which here also writes down each request before it answers.

Run as `python -m soak.upstream ACCOUNTS-FILE PORT LEDGER USAGE`. It serves until its standard input
closes, so it can't outlive the soak. The ledger survives it, even when it is killed, and so does
the record of the usage that it told.
"""

import json
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from neurolink_mitm.sandbox.accounts import accounts_from_json
from neurolink_mitm.sandbox.recorder import Received, Recorder
from neurolink_mitm.sandbox.server import serve
from neurolink_mitm.sandbox.state import Sandbox

_NUMBER = re.compile(rb'"model": ?"claude-soak-(\d+)"')


class Ledger(Recorder):
    """A line with the id of each request whose head was read, and once its body is there another
    with the number that the client gave it."""

    def __init__(self, path: Path, usage: Path) -> None:
        super().__init__(keep=1, bodies=False)
        self._file = path.open("ab", buffering=0)
        self._usage = usage.open("ab", buffering=0)
        self._halves: dict[str, bytes] = {}

    def received(self, request: Received) -> None:
        self._write(request, b"0")
        super().received(request)

    def admitted(self, request: Received, account: str) -> None:
        number = _NUMBER.search(request.body)
        self._write(request, number[1] if number else b"0")
        super().admitted(request, account)

    def body_sent(self, request: Received, data: bytes) -> None:
        """Called before it is on its way."""
        super().body_sent(request, data)
        said = self._halves.pop(request.request_id, b"") + data
        try:
            usage = told_usage(said)
        except ValueError:
            self._halves[request.request_id] = said
        else:
            if usage:
                line = {"id": request.request_id, **usage}
                self._usage.write(json.dumps(line).encode() + b"\n")

    def finished(self, request: Received) -> None:
        self._halves.pop(request.request_id, None)
        super().finished(request)

    def _write(self, request: Received, number: bytes) -> None:
        self._file.write(b"%s %s\n" % (request.request_id.encode(), number))


def told_usage(said: bytes) -> dict[str, Any] | None:
    """The usage that an event, or a whole answer, tells. Raises ValueError if it is only a part."""
    if said.startswith(b"event:"):
        said = said.partition(b"data: ")[2]
    found = json.loads(said)
    usage: dict[str, Any] | None = found.get("message", found).get("usage")
    return usage


def main(accounts: str, port: str, ledger: str, usage: str) -> None:
    sandbox = Sandbox(accounts_from_json(Path(accounts).read_bytes()))
    sandbox.recorder = Ledger(Path(ledger), Path(usage))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve("127.0.0.1", int(port), sandbox)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(*sys.argv[1:])
