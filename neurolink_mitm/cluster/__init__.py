"""Several replicas as one pool: what they share over Redis or Valkey, beside requests.

Decisions are made from this process's memory, which feeds keep the same in all replicas; no request waits for Redis.
Nothing of this is imported where the configuration has no cluster. From the top down:

- `view`: what a replica says of itself, and what it shows of the cluster; `observer`: the same for commands.
- `pool`: cooldowns, probes, quotas, sessions, and what was counted of each account.
- `limits`: requests a minute and at once, money.
- `home`: what the home's files hold: logins, client keys, pauses, marks.
- `replica`: the component: asks for news, reads all each second, writes what is new.
- `feed`: what a kind of shared state has to do for that.
- `redis`: the one way to Redis, bounded in every respect; its keys and Lua scripts.
"""
