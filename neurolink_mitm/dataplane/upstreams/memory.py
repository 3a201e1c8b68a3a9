"""Keeps the memory small that TLS takes for each connection: a thousand of them are open at once.

asyncio and OpenSSL keep buffers for as long as a connection lasts, as large as the largest read and write.
"""

from __future__ import annotations

import asyncio
from asyncio import sslproto

READ = 16 * 1024
"""Bytes of the buffer for reading. A record of TLS has as many at most, and events of a stream are small."""
WRITE = 32 * 1024
"""Bytes that are encrypted at once. OpenSSL keeps 4/3 of it. Smaller pieces cost a system call each."""


def shrink_read_buffers() -> None:
    """Let asyncio's TLS connections have a buffer of `READ` instead of 256 KB. uvloop's use theirs sparsely."""
    sslproto.SSLProtocol.max_size = READ


def write(transport: asyncio.WriteTransport, data: bytes) -> None:
    """Write `data`, in pieces if it is encrypted."""
    if len(data) <= WRITE or transport.get_extra_info("ssl_object") is None:
        transport.write(data)
        return
    whole = memoryview(data)
    for at in range(0, len(data), WRITE):
        transport.write(whole[at : at + WRITE])
