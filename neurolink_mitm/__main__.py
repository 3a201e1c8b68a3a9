"""The `neurolink` command, which `python -m neurolink_mitm` is, too."""

from __future__ import annotations

import sys

from neurolink_mitm.adapters import init_process


def main() -> None:
    """Run the command. Ctrl-C while it is imported is what Ctrl-C is anywhere else."""
    init_process.step_aside()
    try:
        _main()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise SystemExit(130) from None


def _main() -> None:
    """The status line goes past click: Claude Code asks for it all the time."""
    if sys.argv[1:] == ["statusline"]:
        import os

        from neurolink_mitm.claude_code.status_line import status_line

        print(status_line(os.environ))
        return
    from neurolink_mitm.cli import main as command

    command(prog_name="neurolink")


if __name__ == "__main__":
    main()
