"""What a failed attempt means, and what the request does next.

- `errors.py`: start here. The table of failures: which cooldown the account gets, which action the request takes.
- `plan.py`: the failover plan of one request, and the replies when it ends without a response.
- `ineligible.py`: the reply where nobody is eligible, with each one's reason.
- `recovery_text.py`: when an account is back, in words, with the window that is used up.
- `unreachable.py`: why upstream could not be reached, in words.
"""
