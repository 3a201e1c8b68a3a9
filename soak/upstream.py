"""One account's upstream: the sandbox over TLS, with connections that end at random (`endings`), a ledger of
requests and a record of token counts.

Run as `python -m soak.upstream FOLDER PORT CERTIFICATE`. It serves until its standard input closes, so it
can't outlive the soak. In FOLDER are its accounts, and its records: they are written before the response,
so they are right even if it is killed.
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
from neurolink_mitm.sandbox.state import Sandbox
from neurolink_mitm.sandbox.wire import Tls, listen, make_server
from soak.endings import IDLE, EndingProtocol
from soak.records import Records

_NUMBER = re.compile(rb'"model": ?"claude-soak-(\d+)"')


class Ledger(Recorder):
    """Writes a line with the id of each request at its head, one with the client's number at its body, and one
    at the head of the response. Requests with the credential of another account are strays."""

    def __init__(self, records: Records, credential: str) -> None:
        super().__init__(keep=1, bodies=False)
        self._ledger = records.ledger.open("ab", buffering=0)
        self._usage = records.usage.open("ab", buffering=0)
        self._strays = records.strays.open("ab", buffering=0)
        self._credential = credential
        self._halves: dict[str, bytes] = {}

    def close(self) -> None:
        for file in (self._ledger, self._usage, self._strays):
            file.close()

    def received(self, request: Received) -> None:
        self._write(request, b"0")
        shown = request.header("x-api-key") or request.header("authorization") or "none"
        if shown.removeprefix("Bearer ") != self._credential:
            # the end of a credential is the account's name
            self._strays.write(b"%s\n" % shown.rpartition("-")[2].encode())
        super().received(request)

    def admitted(self, request: Received, account: str) -> None:
        number = _NUMBER.search(request.body)
        self._write(request, number[1] if number else b"0")
        super().admitted(request, account)

    def head_sent(self, request: Received, status: int) -> None:
        self._write(request, b"head")
        super().head_sent(request, status)

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

    def _write(self, request: Received, what: bytes) -> None:
        self._ledger.write(b"%s %s\n" % (request.request_id.encode(), what))


def usage_in(data: bytes) -> dict[str, Any] | None:
    """Return the usage in an event or a whole response. Raises ValueError for a part of one."""
    if data.startswith(b"event:"):
        data = data.partition(b"data: ")[2]
    message = json.loads(data)
    usage: dict[str, Any] | None = message.get("message", message).get("usage")
    return usage


def main(folder: str, port: str, certificate: str) -> None:
    records = Records(Path(folder))
    accounts = accounts_from_json(records.accounts.read_bytes())
    sandbox = Sandbox(accounts)
    sandbox.recorder = Ledger(records, accounts[0].credential)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    server = make_server(sandbox, Tls(certificate), lambda: None)
    server.config.timeout_keep_alive = IDLE
    server.config.http_protocol_class = EndingProtocol.recording(records.endings)
    server.run([listen("127.0.0.1", int(port))])


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(*sys.argv[1:])
