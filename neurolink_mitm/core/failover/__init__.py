"""What a failed attempt means, and what is done next.

`errors.py` is the table of failures, `plan.py` the failover plan of one request.
"""
