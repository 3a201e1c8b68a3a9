"""What all commands share; `neurolink --help` imports none of the heavy ones.

- `exits`: exit codes, and how a command ends that can't do its work.
- `groups`: groups of commands, loaded lazily, that suggest what was meant.
- `options`: options and arguments that several commands have.
- `terminal`: prints a report as JSON or text, asks, shows progress and steps.
- `tables`: tables that fit a terminal.
- `home`: the folder a command works on: its configuration, its environment, its stored accounts.
- `browser`: opens the user's browser.
- `http_client`, `running`: ask the running proxy.
"""
