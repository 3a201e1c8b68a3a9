"""Opens the user's browser."""

from __future__ import annotations

import os
import sys

ON_LINUX = frozenset({"BROWSER", "DISPLAY", "WAYLAND_DISPLAY"})
"""Variables without which there is no browser."""


def open_browser(url: str) -> bool:
    """Open a browser, and return whether that was possible; one that takes over the terminal does not count."""
    import webbrowser

    there = any(os.environ.get(name) for name in ON_LINUX)
    return (sys.platform == "darwin" or there) and webbrowser.open(url)
