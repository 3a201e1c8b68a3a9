"""Prices, the cost of a request, and the bounds on what is paid per use."""
