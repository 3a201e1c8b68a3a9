from __future__ import annotations

from neurolink_mitm.notices.undelivered import LONGEST, Undelivered


def test_a_reason_is_one_bounded_line_without_secrets() -> None:
    reason = str(Undelivered(f"http://bob:hunter2@hooks.example.com\n\x1b[31m{'x' * 999}"))
    assert "hunter2" not in reason
    assert reason.isprintable()
    assert len(reason) <= LONGEST + 20
    assert "sk-ant-api03" not in str(Undelivered("refused sk-ant-api03-abcdefghijklmnopqrstuvwxyz"))
