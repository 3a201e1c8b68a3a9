"""What tells a newcomer where things are (docstrings of packages, docs/architecture.md) is compared with the code."""

from __future__ import annotations

import inspect
import re
from itertools import groupby

import neurolink_mitm.addons
from neurolink_mitm.stack import stack
from tests.fakes import make_runtime

HOOKS = (
    "requestheaders", "request", "attempt", "http_connect_upstream", "attempt_failed",
    "responseheaders", "response", "error",
)  # fmt: skip
"""Those of a request, in the order in which they come."""


def hooks_of_addons() -> str:
    """A line a hook, with the addons that have it in the order of the stack; hooks with the same ones share a line."""
    addons = [type(addon) for addon in stack(make_runtime())]

    def having(hook: str) -> str:
        names = [each.__module__.rpartition(".")[2] for each in addons if hasattr(each, hook)]
        return " · ".join(names)

    lines = groupby(HOOKS, key=having)
    return "\n".join(f"{', '.join(hooks):22} {names}" for names, hooks in lines)


def test_the_list_of_hooks_is_that_of_the_stack() -> None:
    written = inspect.getdoc(neurolink_mitm.addons) or ""
    block = "\n".join(re.findall(r"^    (\S.*)$", written, re.MULTILINE))
    assert block == hooks_of_addons()
