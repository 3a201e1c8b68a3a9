"""All scripts of a page share one scope: a name that two of them declare breaks the second one."""

from __future__ import annotations

import re
from pathlib import Path

STATIC = Path(__file__).parents[2] / "neurolink_mitm" / "dashboard" / "static"
BLOCK = re.compile(r'"use strict";\n(// .*\n)+\{\n\n.*\n\n\}\n', re.DOTALL)


def test_each_script_but_the_shared_one_is_a_block() -> None:
    scripts = {
        path.name: path.read_text() for path in STATIC.glob("*.js") if ".min." not in path.name
    }
    assert [name for name, text in scripts.items() if not BLOCK.fullmatch(text)] == ["dashboard.js"]
