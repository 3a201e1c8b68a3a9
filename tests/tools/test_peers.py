"""The report on peers: what they are told, and how their scores are shown. No peer is installed or run."""

from __future__ import annotations

import pytest

from tests.translator.matrix.run import Score
from tests.translator.matrix.targets import TARGETS
from tests.translator.running import KEY
from tools.peers.__main__ import table
from tools.peers.configs import has_way, litellm_config, router_config
from tools.peers.install import cache

AT = {name: (target, "http://127.0.0.1:9") for name, target in TARGETS.items()}


def test_litellm_is_told_of_every_target() -> None:
    models = litellm_config(AT)["model_list"]
    assert [each["model_name"] for each in models] == list(TARGETS)
    by_name = {each["model_name"]: each["litellm_params"] for each in models}
    assert by_name["google-ai"] == {
        "model": "gemini/gemini-2.5-flash",
        "api_base": "http://127.0.0.1:9/v1beta",
        "api_key": KEY,
    }


@pytest.mark.parametrize(
    ("name", "address", "transformer"),
    [
        ("openai responses", "http://127.0.0.1:9/v1/responses", ["openai-responses"]),
        ("google-ai", "http://127.0.0.1:9/v1beta/models/", ["gemini"]),
        ("mistral", "http://127.0.0.1:9/v1/chat/completions", None),
    ],
)
def test_the_router_is_told_of_a_target(
    name: str, address: str, transformer: list[str] | None
) -> None:
    (provider,) = router_config({name: AT[name]}, 1)["Providers"]
    assert provider["api_base_url"] == address
    assert provider.get("transformer") == (transformer and {"use": transformer})


def test_the_router_is_not_told_of_what_it_has_no_way_to() -> None:
    assert not has_way(TARGETS["ollama"])
    config = router_config({name: AT[name] for name in ("ollama", "groq")}, 1)
    assert [each["name"] for each in config["Providers"]] == ["groq"]
    assert config["Router"]["default"] == "groq,openai/gpt-oss-120b"


def test_peers_lie_in_the_users_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(cache()) == "/somewhere/neurolink-peers"


def test_the_report() -> None:
    def scores(right: int) -> dict[str, Score]:
        faults = {str(n): "x" for n in range(4 - right)}
        return {"requests": Score(4, faults), "answers": Score(2, {}), "rounds": Score(1, {})}

    found = {"ours": {"a": scores(4), "b": scores(3)}, "theirs": {"a": scores(2)}}
    assert [line.split() for line in table(found, ["a", "b"])] == [
        ["ours", "theirs"],
        ["a", "4/4", "2/2", "1/1", "2/4", "2/2", "1/1"],
        ["b", "3/4", "2/2", "1/1", "-"],
        ["all", "7/8", "4/4", "2/2", "2/4", "2/2", "1/1"],
    ]
