"""Accounts of other programs on this machine, read and never changed: `neurolink auth import`.

A module a program (`cliproxyapi`, `ccflare`, `ccr`, `original`, `environment`) returns its `Findings`: entries, each
with the account that it would be here, and settings that are never taken over (addresses, proxies, headers, commands:
they could send tokens elsewhere). `entries` has these values and checks every credential; `files` and `database` read
within bounds; `plan` decides what is taken; `take` stores it.
"""
