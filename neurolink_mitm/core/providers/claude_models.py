"""Anthropic's models: made by tools/models (make models), except for the release days.

https://platform.claude.com/docs/en/about-claude/models/overview
"""

from __future__ import annotations

SOURCE = "Claude Code 2.1.332"
"""What the names were last compared with beside LiteLLM and Anthropic's SDK."""

Row = tuple[str, str, str]
"""Name, release day (empty: unknown), and the date in the name for which it is an alias (empty: none)."""

ROWS: tuple[Row, ...] = (
    ("claude-opus-5-5", "", ""),
    ("claude-sonnet-5-5", "", ""),
    ("claude-haiku-5-5", "", ""),
    ("claude-fable-5-2", "", ""),
    ("claude-mythos-5-2", "", ""),
    ("claude-fable-5-1", "2026-09-01", ""),
    ("claude-mythos-5-1", "2026-09-01", ""),
    ("claude-opus-5", "2026-07-24", ""),
    ("claude-sonnet-5", "2026-06-30", ""),
    ("claude-fable-5", "2026-06-09", ""),
    ("claude-mythos-5", "", ""),
    ("claude-mythos-preview", "", ""),
    ("claude-opus-4-8", "2026-05-28", ""),
    ("claude-opus-4-7", "2026-04-16", "20260416"),
    ("claude-sonnet-4-6", "2026-02-17", ""),
    ("claude-opus-4-6", "2026-02-05", "20260205"),
    ("claude-opus-4-5", "2025-11-24", "20251101"),
    ("claude-haiku-4-5", "2025-10-15", "20251001"),
    ("claude-sonnet-4-5", "2025-09-29", "20250929"),
    ("claude-opus-4-1", "2025-08-05", "20250805"),
    ("claude-opus-4-0", "2025-05-22", "20250514"),
    ("claude-sonnet-4-0", "2025-05-22", "20250514"),
)
"""The newest first."""
