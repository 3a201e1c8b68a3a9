"""What replicas share of their pools.

- `feeds`: all of them, in order.
- `cooldowns`: cooldowns, their levels and their end. `probes`: which replica probes an account that has cooled down.
- `quotas`: the newest quota of each account. `state_store`: notices what changes about quotas and cooldowns here.
- `sessions`: on which account a session is.
- `tallies`: what each replica has counted of each account.
"""
