"""Providers beside Anthropic: names, models, and their requests, responses and errors in Anthropic's form."""
