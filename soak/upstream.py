"""One account's upstream: the sandbox with a ledger of requests and a record of token counts.

Run as `python -m soak.upstream ACCOUNTS-FILE PORT LEDGER USAGE`. It serves until its standard input
closes, so it can't outlive the soak. Both files are written before the response, so they are right
even if it is killed.
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
    """Writes a line with the id of each request at its head, and one with the client's number at its body."""

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
        """Record the token counts in `data`, which is not sent yet."""
        super().body_sent(request, data)
        data = self._halves.pop(request.request_id, b"") + data
        try:
            usage = usage_in(data)
        except ValueError:
            self._halves[request.request_id] = data
        else:
            if usage:
                line = {"id": request.request_id, **usage}
                self._usage.write(json.dumps(line).encode() + b"\n")

    def finished(self, request: Received) -> None:
        self._halves.pop(request.request_id, None)
        super().finished(request)

    def _write(self, request: Received, number: bytes) -> None:
        self._file.write(b"%s %s\n" % (request.request_id.encode(), number))


def usage_in(data: bytes) -> dict[str, Any] | None:
    """Return the usage in an event or a whole response. Raises ValueError for a part of one."""
    if data.startswith(b"event:"):
        data = data.partition(b"data: ")[2]
    message = json.loads(data)
    usage: dict[str, Any] | None = message.get("message", message).get("usage")
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
