"""Who listens."""

from __future__ import annotations

import os
import socket

import psutil

from neurolink_mitm.adapters.listeners import answers, listener
from neurolink_mitm.core.facts import Listener


def test_a_program_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert answers("127.0.0.1", port)
        assert listener("127.0.0.1", port) == Listener(os.getpid(), psutil.Process().name())


def test_nobody() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert not answers("127.0.0.1", port)
        assert listener("127.0.0.1", port) is None
