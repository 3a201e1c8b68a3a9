"""What people do with accounts: log in, import, enable and disable, order, report."""
