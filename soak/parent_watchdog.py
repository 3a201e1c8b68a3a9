"""Parent-death watchdog: kills process PID when the soak ends: `python -m soak.parent_watchdog PID`.

The soak holds the watchdog's standard input open, which the kernel closes even if the soak is killed.
"""

import sys
from contextlib import suppress

import psutil


def main(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        watched = psutil.Process(pid)
        sys.stdin.buffer.read()
        watched.kill()  # psutil spares another process with the same pid


if __name__ == "__main__":
    main(int(sys.argv[1]))
