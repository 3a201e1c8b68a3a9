"""The outside world, one thing a file: files, tokens, the login server, the network, logs, the translator's process.

An adapter translates foreign exceptions into its own, and does what takes time away from the event loop.
"""
