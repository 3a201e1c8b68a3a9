"""Soak test: `python -m soak` puts NeuroLink under the load of many clients while its accounts fail.

Everything runs on loopback, over TLS. Five upstreams, one an account and each a process (`upstream`,
`records`), play shuffled scripts with every kind of fault (`fault_scripts`) and end connections at random
(`endings`); some are ended and started again in between. Three accounts have the same host and the same
HTTP proxy (`connect_proxy`), whose tunnels differ by login only. The proxy under test is the real command
in a home of its own (`processes`, `parent_watchdog`). The clients are this process: `load` is what they do,
`client` their HTTP, `answers` judges responses. `run` is the course of events.

At the end three records are compared (`evidence`): the results of the clients, the requests that the
upstreams received with their credentials, and the rows of the proxy. `checks` are the promises, a function
each; `report` prints them.
"""
