"""The `neurolink` command: a module or a folder a group, imported when it is called, so that help is quick.

`auth/`, `cluster/` and `proxy/` are groups of several modules, `top/` is one command; `ui/` is what all commands share.

Exit codes: 0 ok, 1 failed, 2 bad usage or configuration, 3 not running, 130 ended by Ctrl-C.
"""

from __future__ import annotations

import gc

import click

from neurolink_mitm import __version__
from neurolink_mitm.cli.ui.groups import LazyGroup

# Imports make 150,000 objects that stay: with Python's own threshold of 2000, collecting garbage among them takes a
# quarter of a start's time.
gc.set_threshold(250_000)

GROUPS = {
    "auth": "Log in to accounts and look after them.",
    "clients": "Keys for those who call the proxy, with limits, and what each has used.",
    "cluster": "Several machines as one pool: who is there, and the key that they share.",
    "completion": "Print the completion script for a shell.",
    "config": "Look at the configuration, check and edit it.",
    "dashboard": "Open the dashboard in the browser, by a link that is good once, for a minute.",
    "docs": "Read the documentation; without PAGE, list what there is.",
    "logs": "Look at requests: what became of them, and what was sent.",
    "notify": "Notices of what happens to the accounts.",
    "proxy": "Run the proxy and look after it.",
    "shape": "Show what request shaping makes of a request; nothing is sent.",
    "statusline": "Print one line about the accounts, for Claude Code's status line.",
    "stats": "Sum up requests, errors, failovers, tokens, costs, and the times of answers and connections.",
    "sandbox": "An Anthropic look-alike on loopback.",
    "top": "Watch accounts, windows and requests live; keys pause, resume, reset and explain.",
}

SHORTCUTS = {
    "start": "proxy",
    "stop": "proxy",
    "status": "proxy",
    "doctor": "proxy",
    "login": "auth",
}
"""Commands that are found without their group, too: name → group."""


@click.group(
    cls=LazyGroup,
    lazy=GROUPS,
    place="neurolink_mitm.cli.",
    shortcuts=SHORTCUTS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="neurolink")
def main() -> None:
    """Pool your own Anthropic accounts behind one local address.

    Example: neurolink proxy start --sandbox
    """
