"""NeuroLink: a local reverse proxy that pools your own Anthropic accounts, as mitmproxy addons.

Read `stack` first: the ordered list of everything that happens to a request. From the top down, each part imports only
those below it:

- `cli`       the `neurolink` command
- `stack`     the ordered addons, as a mitmproxy script (`addons/neurolink.py` in the repository)
- `app`       composition root: builds the runtime, starts and stops the components, serves
- `addons`    thin mitmproxy addons, one class a file; they ask `core` and apply its decision
- `doctor`    `neurolink proxy doctor`
- rooms beside requests, each with its pure part and its outside: `accounts`, `records`, `config`, `telemetry`,
  `notices`, `claude_code`, `service`, `sandbox` (the Anthropic look-alike), `translator` (the process that asks other
  providers)
- `adapters`  the outside world, one thing a file
- `dataplane` all that touches mitmproxy's inside: the failover stream, the lean master
- `ports`     what addons see of the outside: protocols, and the runtime that holds them
- `core`      pure decisions: no mitmproxy, network, files, clock or logging
"""

__version__ = "0.1.0"
