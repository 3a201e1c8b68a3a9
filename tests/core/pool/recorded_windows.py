"""Rate-limit headers of subscriptions as people have recorded them in public. Sources: `core/pool/families.py`.

The times are those of the records; `AT` lies before all resets that belong together.
"""

from __future__ import annotations

from neurolink_mitm.core.request.headers import Fields

U = "anthropic-ratelimit-unified-"

# a served request for Haiku and one for Fable, of the same account
HAIKU = f"""
{U}5h-utilization: 0.03
{U}5h-reset: 1786123200
{U}7d-utilization: 0.71
{U}7d-reset: 1786136400
{U}overage-utilization: 0.0
"""
FABLE = f"""{HAIKU}
{U}7d_oi-utilization: 0.83
{U}7d_oi-reset: 1786136400
"""
SERVED_AT = 1786110000.0

# 2026-08-02: refused for Fable while the account's windows are open
FABLE_REFUSED = f"""
{U}5h-reset: 1785685200
{U}5h-status: allowed
{U}5h-utilization: 0.0
{U}7d-reset: 1785736800
{U}7d-status: allowed_warning
{U}7d-utilization: 0.94
{U}7d_oi-reset: 1785736800
{U}7d_oi-status: rejected
{U}7d_oi-utilization: 1.0
{U}7d_oi-surpassed-threshold: 1.0
{U}representative-claim: seven_day_overage_included
{U}reset: 1785736800
{U}status: rejected
retry-after: 51811
"""
REFUSED_AT = 1785684988.613

# all weekly windows at once, to any model
EVERY_WEEK = f"""
{U}5h-utilization: 0.56
{U}5h-reset: 1777683000
{U}5h-status: allowed
{U}7d-utilization: 0.99
{U}7d-reset: 1778007600
{U}7d-status: allowed_warning
{U}7d-surpassed-threshold: 0.75
{U}7d_sonnet-utilization: 0.27
{U}7d_sonnet-reset: 1778007600
{U}7d_sonnet-status: allowed
{U}7d_opus-utilization: 0.10
{U}7d_opus-reset: 1778007600
{U}7d_opus-status: allowed
{U}7d_omelette-utilization: 0.05
{U}7d_omelette-reset: 1778007600
{U}7d_omelette-status: allowed
{U}overage-utilization: 0.0
{U}overage-reset: 1780272000
{U}overage-status: allowed
{U}upgrade-paths: upgrade_plan,overage
"""
WEEK_AT = 1777670000.0


def fields(lines: str) -> Fields:
    pairs = (line.split(": ", 1) for line in lines.splitlines() if line)
    return tuple((name.encode(), value.encode()) for name, value in pairs)
