"""Money: prices, what a request costs, bounds on spending.

- `prices.py`: the price table, and the cost of tokens.
- `costs.py`: the cost of an exchange.
- `budget.py`: `pay-per-use` and `daily-cap-usd`: which accounts they make ineligible.
"""
