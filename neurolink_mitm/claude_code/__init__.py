"""Claude Code: its login, its `settings.json`, VS Code's, the guard that restores both files, and its status line."""
