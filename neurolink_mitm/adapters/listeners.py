"""Who listens on a port of this machine."""

from __future__ import annotations

import socket

import psutil

from neurolink_mitm.core.facts import Listener

LIMIT = 2.0


def listener(host: str, port: int) -> Listener | None:
    """None where nobody does. Who it is may be a secret: other users' programs are."""
    if not answers(host, port):
        return None
    try:
        found = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:] == (port,)
        ]
        pid = next((pid for pid in found if pid), None)
        return Listener(pid, psutil.Process(pid).name()) if pid else Listener()
    except (psutil.Error, OSError):  # macOS tells only root
        return Listener()


def answers(host: str, port: int) -> bool:
    """Whether a connection is taken there."""
    try:
        socket.create_connection((host, port), LIMIT).close()
    except OSError:
        return False
    return True
