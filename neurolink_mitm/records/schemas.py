"""JSON Schemas of the log families and of a stored body. Later versions may add fields."""

from __future__ import annotations

from typing import Any

import msgspec

from neurolink_mitm.core.logs.audit import AUDIT, AuditRow
from neurolink_mitm.core.logs.capture import Document
from neurolink_mitm.core.logs.rows import AttemptRow, DebugRow, RequestRow

FAMILIES: dict[str, type[msgspec.Struct]] = {
    "proxy": RequestRow,
    "proxy-attempts": AttemptRow,
    "proxy-debug": DebugRow,
    AUDIT: AuditRow,
    "body": Document,
}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(family: str) -> dict[str, Any]:
    """Return the schema of a line of `family`."""
    kind = FAMILIES[family]
    _, components = msgspec.json.schema_components([kind])
    return {"$schema": _DIALECT, **components[kind.__name__]}
