"""The pure part: everything that NeuroLink decides, as functions and values.

Nothing here reads a clock, a file, the network or a random number, and nothing here knows mitmproxy: times, ids and
bytes are arguments, decisions are return values. Rooms by subject:

- `request/`: the client's request: head, body, route, target, history.
- `response/`: upstream's response: SSE events, when it may be released, tokens used.
- `pool/`: the accounts, the state of each, cooldowns and quotas, and which account comes next.
- `failover/`: what a failure means, and the failover plan of one request.
- `auth/`: who may use the proxy, OAuth's rules, stored credentials.
- `cost/`: prices, what a request costs, bounds on spending.
- `shaping/`: what must not leave this machine, and what is put back into the response.
- `providers/`: models of other providers, and the translation of requests and responses.
- `logs/`: rows of the logs, captured bodies, lines of the console.
- `redact/`: masks secrets in text that is about to be written.
- `status/`: what `/health`, `/status` and `/metrics` report.
- `settings/`: the configuration as typed values.

`exchange.py` is the record of one client request, which all addons share.
"""
