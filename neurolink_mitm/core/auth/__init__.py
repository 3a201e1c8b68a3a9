"""Who may use the proxy, and the credentials of accounts.

- `access.py`: origin checks and client keys of callers.
- `credentials.py`: stored credentials as values; `token_document.py`: `tokens.json`, for changes.
- `oauth.py`: responses of the token endpoint; `refresh.py`: the state machine of a token refresh.
"""
