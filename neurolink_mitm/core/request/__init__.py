"""The client's request: is its head valid, where does it belong, what is in its body, where is it sent."""
