"""What the proxy reports about itself: `/health`, `/status`, `/metrics`, why an account is used or not, lag."""
