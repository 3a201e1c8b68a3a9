"""Upstream's response, read as it comes: SSE events, whether it is good, tokens, stop reason, prompt caches."""
