"""The configurations of NeuroLink that are compared."""

from dataclasses import dataclass, replace
from pathlib import Path

from bench.children import ROOT
from bench.forms import CHAT, MESSAGES, Form

DEFAULT = "neurolink"
OFF = "neurolink-off"
EARLIER = "neurolink-earlier"
CONSOLE = "neurolink-console"
FEW, MANY = 2, 500
"""Numbers of accounts that are compared."""
_START = ("neurolink_mitm.cli", "proxy", "start")


@dataclass(frozen=True)
class Variant:
    """A configuration: `settings` are appended to the file, `module` is run in the checkout `root`."""

    name: str
    settings: str = ""
    module: tuple[str, ...] = (*_START, "--quiet")
    root: Path = ROOT
    accounts: int = 1
    form: Form = MESSAGES
    """That of its requests."""


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
AS_MESSAGES = Variant("messages")
AS_CHAT = Variant("chat", form=CHAT)
"""The same conversation in both forms."""
WITH_CONSOLE = Variant(CONSOLE, module=_START)


def earlier(root: Path) -> Variant:
    """Return the variant with the code of another checkout and today's libraries."""
    return Variant(EARLIER, root=root)


def with_accounts(count: int) -> Variant:
    return Variant(f"{count} accounts", accounts=count)


def forgetful(variant: Variant) -> Variant:
    """Return the variant that keeps unused upstream connections for a second only.

    A checkout from before the setting `network.idle` stays as it is: there a connection to upstream ends with
    the client's.
    """
    documented = (variant.root / "docs" / "configuration.md").read_text()
    if "`network.idle`" not in documented:
        return variant
    return replace(variant, settings=f"{variant.settings}network: {{idle: 1}}\n")
