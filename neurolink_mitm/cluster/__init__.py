"""Several replicas as one pool: what they share over Redis or Valkey, beside requests.

Decisions are made from this process's memory, which `feeds` keep the same in all replicas; no request waits for Redis.
Nothing of this is imported where the configuration has no cluster.

- `replica`: the component: asks for news, reads all each second, writes what is new.
- `feed`: what a kind of shared state has to do for that.
- `link`: the one door to Redis, bounded in every way, behind the breaker.
- `connection`: one connection, for the door's pool and for `news`, which hears what replicas publish.
- `sharing`: the feed of what the home's files hold, by `sync`, which compares a home (`kinds`) with Redis and with what
  both last had (`ledger`); `step` does it once, for a command. `door` asks Redis for threads. `shared_store` is the
  token store of refreshes, one replica at a time.
- `seal`: hides logins from Redis, and signs all else that must not be made by others.
- `cooldowns`: cooldowns, their levels and their end; `state_store` notices what changes about them here.
- `probes`: which replica probes an account that has cooled down. `quotas`: the newest quota of each
  account. `pool` has all feeds of the pool.
- `sessions`: a feed: on which account a session is.
- `tallies`: what each has counted of each account.
- `view`: what a replica says of itself, and what it shows of the cluster; `onlooker`: the same for commands.
- `limits`: the feeds of requests a minute and at once, of accounts and of clients; `spending` is that of money.
- `names`: the keys in Redis; what changes together there is one Lua script in `scripts`.
"""
