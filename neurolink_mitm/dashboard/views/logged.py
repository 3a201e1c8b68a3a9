"""A logged request, without its secrets: they are masked when it is written, and what has become one since, here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from neurolink_mitm.core.redact.body import redact_value
from neurolink_mitm.core.redact.known_secrets import encoded_forms, secrets_of
from neurolink_mitm.dashboard.page import View

Row = Mapping[str, Any]

LONGEST_ID = 200
"""Characters of a request's id that are looked for."""


def id_of(view: View) -> str:
    """Return the id that the page's query names."""
    return view.query.get("id", "").strip()[:LONGEST_ID]


def secrets_of_proxy(view: View) -> tuple[str, ...]:
    """Return the secrets of the pool and the configuration, in all forms."""
    runtime = view.site.runtime
    own = (runtime.admin_token,) if runtime.admin_token else ()
    secrets = view.site.on_loop(
        lambda: (*own, *secrets_of(runtime.config, runtime.pool.accounts, runtime.environ))
    )
    return encoded_forms(secrets)


def masked(row: Row, kind: type[msgspec.Struct], secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return a row with all fields of its kind, which an older version may not have written."""
    values = {
        name: redact_value(value, secrets) if isinstance(value, str) else value
        for name, value in row.items()
    }
    return dict.fromkeys(kind.__struct_fields__) | values
