"""Claude Code's side: its `settings.json`, the guard that restores it, and the status line."""
