"""A process that starts the translator, says its pid, and waits to be killed.

python translator_parent.py LOG
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from neurolink_mitm.adapters.translator import TranslatorProcess
from neurolink_mitm.core.providers.translator import Setup


async def main() -> None:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    translator = TranslatorProcess(Path(sys.argv[1]), Setup("test-secret"), kept)
    assert await translator.wait(60)
    print(translator.report()["pid"], flush=True)
    await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main())
