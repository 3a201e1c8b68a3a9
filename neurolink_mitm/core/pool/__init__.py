"""The pool of accounts: the state of each account, its cooldowns and quotas, and which one the next request uses.

- `pool.py`: start here. `failed` and `succeeded` book results; reloads and restarts.
- `among_replicas.py`, below it: limits that replicas keep together, and whose a probe is.
- `choosing.py`, what that builds on: `choose` picks the account. `eligibility.py`, below: who may serve, and when who
  recovers. `members.py`, below: the accounts and their states.
- `choice.py`: what a request requires, and which account was chosen why.
- `recovery.py`: when an account recovers by itself; `recoveries` of the pool asks it of all for a request.
- `cooldown.py`: how long a cooldown lasts. Which failure asks for one is a table in `core/failover/errors.py`.
- `account_state.py`: why an account is ineligible now: cooldowns by scope, probes, limits.
- `limits.py`: how many requests a minute and at once an account takes (`token_bucket.py`).
- `limit_headers.py`: how rate-limit headers are read. `windows.py`: the windows of a subscription among them;
  `families.py`: which models a window counts for.
- `quota.py`: an account's quota as responses reported it. `limit_scope.py`: the subject of a 429.
- `ramp.py`: how many requests go at once to an account that takes over or has recovered. `waits.py`: who waits for
  that, or for a probe.
- `readings.py`: what was used of a window in the last hour, its pace, and when it runs out.
- `forecast.py`: when the whole pool runs dry.
- `ready.py`: the eligible accounts in order, kept from one request to the next.
- `persisted.py`: the cooldowns that survive a restart.
- `selection.py`: strategies.
- `affinity.py`: the accounts at which a session's prompt cache is.
- `accounts.py`: which accounts there are, from token store, configuration and environment.
"""
