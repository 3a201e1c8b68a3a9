"""The connections to upstream: one set for the whole process, shared by all clients.

- `key`   what two requests need to have in common to use the same connection
- `dial`   makes one new connection and hands it over
- `opening`  name, TCP, an HTTP proxy, TLS: a connection that nobody uses yet
- `tunnel` an HTTP proxy's answer to CONNECT
- `tls`    whom TLS trusts, and what a handshake has shown
- `issuer` who issued a certificate that was refused
- `failure` why no connection could be made
"""
