"""A fast upstream in its own process: HTTP/1.1 with keep-alive, responses rendered beforehand.

Run as `python -m bench.upstream PORT`: it serves until its standard input closes, so it can't
outlive the bench.
"""

import asyncio
import re
import sys
from functools import cache

from bench.payloads import Kind, Pace, answer, events, kind_of, pace_of

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_READ_LIMIT = 1 << 20
_BACKLOG = 1024

# Anthropic's other headers, which a proxy has to read or copy.
_COMMON_HEADERS = (
    b"date: Sat, 01 Nov 2025 12:00:00 GMT\r\n"
    b"request-id: req_bench\r\n"
    b"anthropic-organization-id: 00000000-0000-0000-0000-000000000000\r\n"
    b"anthropic-ratelimit-unified-status: allowed\r\n"
    b"anthropic-ratelimit-unified-5h-status: allowed\r\n"
    b"anthropic-ratelimit-unified-5h-utilization: 0.11\r\n"
    b"anthropic-ratelimit-unified-5h-reset: 4102444800\r\n"
    b"anthropic-ratelimit-unified-7d-status: allowed\r\n"
    b"anthropic-ratelimit-unified-7d-utilization: 0.42\r\n"
    b"anthropic-ratelimit-unified-7d-reset: 4102444800\r\n"
    b"anthropic-ratelimit-unified-fallback-percentage: 0.5\r\n"
    b"strict-transport-security: max-age=31536000\r\n"
    b"server: bench\r\n"
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n" + _COMMON_HEADERS + b"\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"


async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(_HEAD_END)
            length = _CONTENT_LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            await answer_request(writer, kind_of(body), pace_of(body))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client is done
    finally:
        writer.close()


async def answer_request(writer: asyncio.StreamWriter, kind: Kind | None, pace: Pace) -> None:
    if kind == "streamed":
        await stream(writer, pace)
    else:
        writer.write(whole(kind, pace))
        await writer.drain()


async def stream(writer: asyncio.StreamWriter, pace: Pace) -> None:
    writer.write(_STREAM_HEAD)
    for chunk in chunks(pace):
        writer.write(chunk)
        await writer.drain()
        # a sleep of 0 lets the loop turn, too, so that each event is a packet of its own
        await asyncio.sleep(pace.gap_ms / 1000)
    writer.write(_LAST_CHUNK)
    await writer.drain()


@cache
def chunks(pace: Pace) -> tuple[bytes, ...]:
    return tuple(b"%x\r\n%s\r\n" % (len(event), event) for event in events(pace))


@cache
def whole(kind: Kind | None, pace: Pace) -> bytes:
    """Return the response: 200 with the message, or 400 for an incomplete request."""
    status = b"200 OK" if kind else b"400 Bad Request"
    refusal = b'{"type":"error","error":{"type":"invalid_request_error","message":"not whole"}}'
    body = answer(kind, pace) if kind else refusal
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s" % (
        status,
        _COMMON_HEADERS,
        len(body),
        body,
    )


async def main(port: int) -> None:
    await asyncio.start_server(serve_client, "127.0.0.1", port, limit=_READ_LIMIT, backlog=_BACKLOG)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
