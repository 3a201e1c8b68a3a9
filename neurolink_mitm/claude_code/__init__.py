"""Claude Code: its login, its `settings.json`, the guard that restores that file, and its status line."""
