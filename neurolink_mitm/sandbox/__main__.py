"""`python -m neurolink_mitm.sandbox` runs a sandbox; its first line of output is its URL."""

import argparse
import sys
from pathlib import Path

from neurolink_mitm.sandbox.accounts import accounts_from_json
from neurolink_mitm.sandbox.server import serve
from neurolink_mitm.sandbox.state import Sandbox
from neurolink_mitm.sandbox.wire import Tls


def main() -> int:
    """Run a sandbox until it is stopped; return the exit code."""
    options = _parser().parse_args()
    try:
        accounts = accounts_from_json(options.accounts.read_bytes()) if options.accounts else None
        sandbox = Sandbox(accounts, keep=options.keep, bodies=options.bodies)
    except (OSError, ValueError) as e:
        return _fail(f"{options.accounts}: {e}", 2)
    tls = Tls(options.certfile, options.keyfile) if options.certfile else None
    try:
        serve(options.host, options.port, sandbox, tls=tls)
    except OSError as e:
        return _fail(f"can't serve on {options.host}:{options.port}: {e}", 1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m neurolink_mitm.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="default: any that is free")
    parser.add_argument("--accounts", type=Path, metavar="FILE", help="JSON: a list of accounts")
    parser.add_argument("--keep", type=int, default=200, help="requests to record")
    parser.add_argument("--no-bodies", dest="bodies", action="store_false", help="heads only")
    parser.add_argument("--certfile", help="serve TLS with this certificate")
    parser.add_argument("--keyfile")
    return parser


def _fail(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
