"""The pool of accounts: the state of each account, its cooldowns and quotas, and which one the next request uses.

- `pool.py`: start here. `choose` picks the account, `failed` and `succeeded` book the result.
- `choice.py`: what a request requires, and which account was chosen why.
- `cooldown.py`: how long a cooldown lasts. Which failure asks for one is a table in `core/failover/errors.py`.
- `account_state.py`: why an account is ineligible now: cooldowns by scope, probes, limits.
- `quota.py`: rate-limit headers, and the scope of a 429.
- `ready.py`: the eligible accounts in order, kept from one request to the next.
- `persisted.py`: the cooldowns that survive a restart.
- `selection.py`: strategies and session affinity.
- `accounts.py`: which accounts there are, from token store, configuration and environment.
"""
