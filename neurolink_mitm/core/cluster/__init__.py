"""What replicas that act as one pool decide, without Redis: `breaker`, `offset`.

The room of the same name asks Redis and applies what is decided here.
"""
