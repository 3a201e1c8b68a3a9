"""Each in a process of its own: what has been imported here stays."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

PUT_OFF = """
import json, sys
from neurolink_mitm.dataplane import default_addons
default_addons.put_off()
"""
OTHERS = ("flask", "ldap3", "mitmproxy.addons.onboarding", "mitmproxy.addons.serverplayback")


def told(code: str, before: str = PUT_OFF) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", before + code], capture_output=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


START = """
import contextlib, json, sys, tempfile
from neurolink_mitm.cli import main
with tempfile.NamedTemporaryFile("w", suffix=".yaml") as bad, contextlib.suppress(SystemExit):
    bad.write("nonsense: 1")
    bad.flush()
    main(["proxy", "start", "--config", bad.name])
print(json.dumps(sorted(sys.modules)))
"""
"""Comes far enough to have imported all that a start imports."""


def test_a_start_imports_none_that_it_does_not_have() -> None:
    seen = told(START, "")
    assert "mitmproxy.addons.proxyserver" in seen
    assert set(OTHERS).isdisjoint(seen)


def test_without_it_they_would_be() -> None:
    """Else the test before would prove nothing."""
    seen = told(
        "import json, sys\nimport mitmproxy.master\nprint(json.dumps(sorted(sys.modules)))", ""
    )
    assert set(OTHERS) <= set(seen)


def test_who_asks_for_all_gets_all() -> None:
    before, after = told("""
from mitmproxy.addons import core
before = "flask" in sys.modules
from mitmproxy import addons
made = [type(each).__name__ for each in addons.default_addons()]
assert addons.core is core
print(json.dumps([before, made]))
""")
    assert before is False
    assert {"Core", "Onboarding", "ProxyAuth", "ServerPlayback"} <= set(after)


def test_what_is_not_there_is_told_as_ever() -> None:
    said = told("""
from mitmproxy import addons
said = []
for name in ("nonesuch", "core"):
    said.append(hasattr(addons, name))
try:
    from mitmproxy.addons import nonesuch
except ImportError as e:
    said.append(str(e).partition(" (")[0])
print(json.dumps(said))
""")
    assert said == [False, False, "cannot import name 'nonesuch' from 'mitmproxy.addons'"]


def test_where_they_are_already_nothing_changes() -> None:
    assert told(
        """
print(json.dumps([default_addons.put_off(), mitmproxy.addons is package]))
""",
        """
import json, mitmproxy.addons
package = mitmproxy.addons
from neurolink_mitm.dataplane import default_addons
""",
    ) == [None, True]
