"""All that touches mitmproxy's inside: the failover stream, the HTTP layer, both sides of a connection, and the master.

The data plane knows how to hold a response back, send a request again, time out and close well. It decides nothing:
addons do, through the hooks in `hooks.py`. `compat.py` lists every private contract with mitmproxy.
"""
