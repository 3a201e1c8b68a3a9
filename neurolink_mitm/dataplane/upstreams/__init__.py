"""The connections to upstream: one set for the whole process, shared by all clients.

- `shared`     the set: hands connections out, takes them back, keeps spares
- `leases`     one client's use of them: the layer's commands, and events for it
- `connection` one connection, whoever uses it
- `dial`       makes a new one and hands it over
- `opening`    name, TCP, an HTTP proxy, TLS: a connection that nobody uses yet
- `names`      looks up the addresses of hosts
- `tunnel`     an HTTP proxy's answer to CONNECT
- `tls`        whom TLS trusts, and what a handshake has shown
- `memory`     keeps TLS's buffers small
- `issuer`     who issued a certificate that was refused
- `failure`    why no connection could be made
"""
