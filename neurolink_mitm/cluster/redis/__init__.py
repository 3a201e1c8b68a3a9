"""The one way to Redis: within limits of time, size and connections, behind a breaker.

- `link`: asks, and runs a script by its name; knows how far Redis' clock is from ours. `blocking_link`: the same for
  threads.
- `connection`: one connection, for the link's pool and for `news`, which hears what replicas publish.
- `names`: the keys of a namespace. What changes together in Redis is one Lua script, a file in `scripts`, which runs
  behind `scripts/common.lua`.
"""
