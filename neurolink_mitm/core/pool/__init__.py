"""The pool of accounts: the state of each account, its cooldowns and quotas, and which one the next request takes.

Start with `pool.py`. How long a cooldown lasts is decided in `cooldown.py`; what a failure means, in
`core/failover/errors.py`.
"""
