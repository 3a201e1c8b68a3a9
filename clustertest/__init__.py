"""Cluster test: `python -m clustertest` runs three replicas as one pool and counts what they promise together.

Everything is real and on loopback: redis-server, HAProxy with `deploy/haproxy.cfg`, three `neurolink proxy start` with
homes of their own (`replicas`), and a counting look-alike of Anthropic (`upstream`), to which clients write when they
sent what (`wording`). `stage` starts them all, `load` is the clients, `relay` a network that can be cut,
`shifted_clock` a wrong clock. `scenarios` has a module for each of the nine; what they find is `figures`, which
`report` prints.
"""
