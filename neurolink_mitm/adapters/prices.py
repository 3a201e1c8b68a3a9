"""The price table that is shipped with the product."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

from neurolink_mitm.core.cost.prices import Prices


@cache
def shipped_prices() -> Prices:
    """Made from LiteLLM's by `make prices`."""
    table = msgspec.json.decode((files("neurolink_mitm") / "prices.json").read_bytes())
    return Prices({name: models for name, models in table.items() if isinstance(models, dict)})
