"""The configurations of NeuroLink that are compared."""

from dataclasses import dataclass
from pathlib import Path

from bench.children import ROOT

DEFAULT = "neurolink"
OFF = "neurolink-off"
EARLIER = "neurolink-earlier"
_START = ("neurolink_mitm.cli", "proxy", "start", "--quiet")


@dataclass(frozen=True)
class Variant:
    """A configuration: `settings` are appended to the file, `module` is run in the checkout `root`."""

    name: str
    settings: str = ""
    module: tuple[str, ...] = _START
    root: Path = ROOT


# All rows have the same requests and responses, but for placeholders: one word is in the message,
# one in a tool, one nowhere, and no other plugin is on.
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
"""Measured with `--options`."""


def earlier(root: Path) -> Variant:
    """Return the variant with the code of another checkout and today's libraries."""
    return Variant(EARLIER, root=root)
