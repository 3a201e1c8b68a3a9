"""Rows of the audit log: one per change that somebody made by a command or in the dashboard. Fields: docs/logs.md."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from neurolink_mitm.core.logs.capture import encodable
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.redact.body import redact_body
from neurolink_mitm.core.redact.text import redact, short, without_passwords

AUDIT = "audit"
"""The family of these rows."""
LONGEST_ROW = 64 * 1024
"""Bytes of a row; of a longer one `before` and `after` are left out."""
LEFT_OUT = "too long to be logged"


class Actor(enum.StrEnum):
    """Who made a change."""

    COMMAND_LINE = "command line"
    TOP = "top"
    DASHBOARD = "dashboard"


class AuditRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change. `before` and `after` are JSON, masked; null: there was, or is, nothing."""

    timestamp: str
    actor: str
    action: str
    """The command that does the same: `pause`, `clients add`, `config edit`."""
    target: str | None
    """The label of the account, the name of the client, the key of the configuration."""
    before: Any = None
    after: Any = None


def audit_row(
    now: float, actor: Actor, action: str, target: str | None, before: Any = None, after: Any = None
) -> AuditRow:
    """Return the row of a change, without secrets."""
    return AuditRow(
        timestamp=iso(now),
        actor=actor.value,
        action=action,
        target=None if target is None else _text(target),
        before=masked(before),
        after=masked(after),
    )


def audit_line(row: AuditRow) -> bytes:
    """Return a row as a line of the log."""
    line = msgspec.json.encode(row)
    if len(line) > LONGEST_ROW:
        line = msgspec.json.encode(msgspec.structs.replace(row, before=LEFT_OUT, after=LEFT_OUT))
    return redact_body(line.decode()).encode() + b"\n"  # members with the name of a secret, too


def masked(value: Any) -> Any:
    """Return a JSON value without what has the form of a secret."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(str(name)): masked(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each) for each in value]
    return value


def _text(text: str) -> str:
    return redact(without_passwords(encodable(short(text))))
