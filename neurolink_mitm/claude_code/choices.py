"""What `proxy setup` was asked to set beside the proxy's address; each start of the proxy reads it.

It is kept in `claude-choices.json` of NEUROLINK_HOME until `proxy uninstall`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from neurolink_mitm.adapters.files import locked, read_whole, write_atomic
from neurolink_mitm.core.json_errors import UNREADABLE

MODEL_DISCOVERY = "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY"
TOOL_STREAMING = "CLAUDE_CODE_ENABLE_FINE_GRAINED_TOOL_STREAMING"


class Choices(msgspec.Struct, rename="camel", frozen=True):
    """`editor` is the path of the VS Code settings that are changed, too."""

    model_discovery: bool = False
    fine_grained_tool_streaming: bool = False
    editor: str | None = None

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables to set. https://code.claude.com/docs/en/env-vars"""
        wanted = {
            MODEL_DISCOVERY: self.model_discovery,
            TOOL_STREAMING: self.fine_grained_tool_streaming,
        }
        return {name: "1" for name, chosen in wanted.items() if chosen}


def read_choices(path: Path) -> Choices:
    """Return the choices; the defaults if there are none.

    Raises:
        ValueError: the file can't be parsed; it is left as it is.
        OSError: the file can't be read.
    """
    try:
        return msgspec.json.decode(read_whole(path), type=Choices)
    except FileNotFoundError:
        return Choices()
    except (ValueError, *UNREADABLE) as e:
        raise ValueError(f"{path} can't be read: {e}") from e


def write_choices(path: Path, choices: Choices) -> None:
    """Keep the choices; also the defaults: a file says that somebody was asked. Raises `OSError`."""
    with locked(path):
        write_atomic(path, msgspec.json.encode(choices) + b"\n")
