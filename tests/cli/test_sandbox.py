"""`neurolink sandbox`."""

from __future__ import annotations

import re
import signal
import socket

import httpx
import pytest

from tests.cli.processes import MESSAGE, Shell


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_and_serves(shell: Shell, number: int) -> None:
    sandbox = shell.start("sandbox")
    url = sandbox.expect(r"http://127\.0\.0\.1:\d+")[0]
    key = re.search(r"x-api-key: (\S+)'", httpx.get(url).text)
    assert key
    headers = {"x-api-key": key[1], "anthropic-version": "2023-06-01"}
    answer = httpx.post(f"{url}/v1/messages", json=MESSAGE, headers=headers)
    assert (answer.status_code, b"message_stop" in answer.content) == (200, True)
    sandbox.signal(number)
    assert (sandbox.exit_code(), sandbox.complained) == (0, "")
    assert sandbox.said.splitlines()[0] == url
    sandbox.stdout.write_text("")  # its keys are made up, and open nothing elsewhere


def test_a_port_that_is_taken_is_named(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = shell.run("sandbox", "--port", str(port))
    assert (ended.process.returncode, ended.said) == (1, "")
    assert ended.complained.startswith(f"neurolink: can't serve on port {port}: ")
    assert ended.complained.count("\n") == 1
