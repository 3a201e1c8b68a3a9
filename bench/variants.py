"""The ways to run NeuroLink whose cost is compared."""

from dataclasses import dataclass

DEFAULT = "neurolink"
OFF = "neurolink-off"
_START = ("neurolink_mitm.cli", "proxy", "start", "--quiet")


@dataclass(frozen=True)
class Variant:
    """`settings` go into the configuration file beside the account; `module` is what is run."""

    name: str
    settings: str = ""
    module: tuple[str, ...] = _START


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
