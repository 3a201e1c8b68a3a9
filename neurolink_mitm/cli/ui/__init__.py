"""What the commands share: tables and colours, exit codes, lazy groups, the client of the running proxy."""
