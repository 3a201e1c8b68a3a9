"""Providers beside Anthropic: names, models, routes to them, and their requests, responses and errors."""
