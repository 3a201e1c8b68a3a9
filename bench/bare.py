"""The proxy without addons that only observe: usage, console, capture, telemetry, journal.

The configuration can switch off capture and telemetry only, so the stack is made without them. Run
as `python -m bench.bare --port PORT --config FILE`; the rest is `neurolink proxy start`.
"""

import asyncio
import os
from pathlib import Path

import click

from neurolink_mitm import app
from neurolink_mitm.addons.capture import Capture
from neurolink_mitm.addons.console import Console
from neurolink_mitm.addons.journal import Journal
from neurolink_mitm.addons.telemetry import Telemetry
from neurolink_mitm.addons.usage import Usage
from neurolink_mitm.app.wiring import Settings, prepare
from neurolink_mitm.claude_code.attach import ClaudeCode
from neurolink_mitm.claude_code.settings import settings_path
from neurolink_mitm.cli.proxy.serve import collect_briefly, set_up_logging
from neurolink_mitm.ports import Runtime
from neurolink_mitm.stack import stack

OBSERVERS = (Usage, Console, Capture, Telemetry, Journal)


def bare(runtime: Runtime) -> list[object]:
    return [addon for addon in stack(runtime) if not isinstance(addon, OBSERVERS)]


@click.command()
@click.option("--port", type=int, required=True)
@click.option("--config", type=click.Path(path_type=Path), required=True)
def main(port: int, config: Path) -> None:
    set_up_logging(quiet=True, debug=False)
    settings = Settings(environ=os.environ, port=port, config=config)
    prepared = prepare(settings)
    path = settings_path(os.environ)
    # as in all rows: its guard requests /health every second
    claude_code = ClaudeCode(prepared.home, path) if path else None
    asyncio.run(app.serve(prepared, settings, bare, lambda _: collect_briefly(), claude_code))


if __name__ == "__main__":
    main()
