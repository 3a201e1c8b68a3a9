from __future__ import annotations

import pytest

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.providers.destinations import entries
from neurolink_mitm.core.settings.values import Config, Fallback, ModelMapping, Routing
from neurolink_mitm.core.status.other_tools import other_tools
from tests.fakes import NOW, make_account

LOGIN, KEY = make_account("home", "sk-ant-oat-test-home"), make_account("work")
CHAIN = (Fallback("openai", "gpt-x"),)
TO_CLAUDE = (ModelMapping("gpt-*", "claude-opus-4-6"),)
TO_OPENAI = (ModelMapping("gpt-*", "gpt-x", "openai"),)
UNMAPPED = "gpt-5 is not served until routing.model-mappings has a row for gpt-*"


@pytest.mark.parametrize(
    ("accounts", "routing", "text"),
    [
        ([LOGIN, KEY], Routing(), f": claude-* by anthropic:work; {UNMAPPED}"),
        ([KEY], Routing(model_mappings=TO_CLAUDE), ": claude-* by anthropic:work; gpt-5 by anthropic:work"),
        ([LOGIN], Routing(fallback_chain=CHAIN), f": claude-* by openai/gpt-x; {UNMAPPED}"),
        ([KEY], Routing(model_mappings=TO_OPENAI), ": claude-* by anthropic:work; gpt-5 by openai/gpt-x"),
        ([LOGIN], Routing(model_mappings=TO_OPENAI), "OpenAI's API: no claude-* (NeuroLink's accounts are"),
        ([LOGIN], Routing(), "OpenAI's API are not served: NeuroLink's accounts are subscriptions"),
        ([LOGIN], Routing(model_mappings=TO_CLAUDE), "neurolink auth login anthropic --add --method api-key"),
        ([LOGIN, KEY], Routing(pay_per_use="never"), "routing.pay-per-use is never"),
        ([], Routing(), "NeuroLink has no account yet"),
    ],
    ids=["key", "mapped", "chain", "mapped-elsewhere", "gpt-only", "subscriptions", "mapped-in-vain", "never", "none"],
)  # fmt: skip
def test_who_serves_them(accounts: list[Account], routing: Routing, text: str) -> None:
    others = entries(Config(routing=routing), {"OPENAI_API_KEY": "k"})
    assert text in other_tools(accounts, others, routing, NOW)
