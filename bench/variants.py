"""The ways to run NeuroLink whose cost is compared."""

from dataclasses import dataclass
from pathlib import Path

from bench.children import ROOT

DEFAULT = "neurolink"
OFF = "neurolink-off"
EARLIER = "neurolink-earlier"
_START = ("neurolink_mitm.cli", "proxy", "start", "--quiet")


@dataclass(frozen=True)
class Variant:
    """`settings` go into the configuration file beside the account; `module` is what is run, of the checkout `root`."""

    name: str
    settings: str = ""
    module: tuple[str, ...] = _START
    root: Path = ROOT


# Requests and answers have to be the same bytes for all rows, but for placeholders; so of the
# words one stands in the message, one in a tool and one nowhere, and no other plugin is on.
_OBFUSCATOR = """\
cloaking:
  mode: always
  plugins:
    headerScrubber: false
    sessionIdentity: false
    wordObfuscator: {words: [say hi, tool_108, bluebird], detectors: [email]}
"""

ORDINARY = Variant(DEFAULT)
OPTIONS = (
    Variant(OFF, "logging: {captureBodies: off}\n", ("bench.bare",)),
    Variant("neurolink-capture-all", "logging: {captureBodies: all}\n"),
    Variant("neurolink-obfuscator", _OBFUSCATOR),
)
"""Measured when they are asked for, to see what an option costs."""


def earlier(root: Path) -> Variant:
    """The same with the code of another checkout, on today's libraries."""
    return Variant(EARLIER, root=root)
