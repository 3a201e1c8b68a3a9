"""Ends a process once the soak is gone, even if that was killed: `python -m soak.warden PID`.

The soak keeps this one's standard input open as long as it lives.
"""

import sys
from contextlib import suppress

import psutil


def main(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        watched = psutil.Process(pid)
        sys.stdin.buffer.read()
        watched.kill()  # does nothing to another process that got the same pid


if __name__ == "__main__":
    main(int(sys.argv[1]))
