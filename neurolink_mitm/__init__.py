"""NeuroLink: a local reverse proxy that pools your own Anthropic accounts, as mitmproxy addons.

Read `stack` first: the ordered list of everything that happens to a request. From the top down,
each part knowing only those below it:

- `cli`       the `neurolink` command
- `stack`     the ordered addons, as a mitmproxy script (`addons/neurolink.py` in the repository)
- `app`       composition root: configuration, adapters, runtime, addons
- `addons`    thin mitmproxy addons, one class a file; they ask `core` and apply what it answers
- `adapters`  the outside world: files, state, logs
- `sandbox`   an Anthropic look-alike for first steps, tests and benchmarks
- `mitm`      what addons need from mitmproxy's inside: the stream that fails over, the lean master
- `ports`     what addons see of the outside: protocols, and the runtime that holds them
- `core`      pure decisions: no mitmproxy, network, files, clock or logging
"""

__version__ = "0.1.0"
