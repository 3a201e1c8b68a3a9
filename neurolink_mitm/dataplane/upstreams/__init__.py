"""The connections to upstream: one set for the whole process, shared by all clients.

- `key`   what two requests need to have in common to use the same connection
"""
