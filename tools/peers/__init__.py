"""Asks LiteLLM's proxy and claude-code-router what the tests ask of NeuroLink, and prints the score of each.

    python -m tools.peers [--peer NAME]… [--rows PATTERN] [--streamed] [target…]

- `install.py` installs the peers into a cache folder, from PyPI and npm.
- `configs.py` writes their configurations: each target of the matrix (`tests/translator/matrix`) behind its look-alike.
- `servers.py` runs them.

The rows are written from the providers' and Anthropic's public documentation, for no peer. A peer that has no way to a
target is not counted there. Nothing leaves this machine but the installation.
"""
