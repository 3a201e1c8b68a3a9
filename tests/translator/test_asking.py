from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from neurolink_mitm.core.providers.chat import refused
from neurolink_mitm.translator.asking import MOST_TRIES, Asking

Json = dict[str, Any]


class RefusedError(Exception):
    def __init__(self, text: str, status_code: int = 400) -> None:
        super().__init__(text)
        self.status_code = status_code


@dataclass
class Provider:
    """Refuses what it does not know, and says so."""

    unknown: tuple[str, ...] = ("top_k",)
    status: int = 400
    asked: list[Json] = field(default_factory=list)

    async def __call__(self, **arguments: Any) -> str:
        self.asked.append(arguments)
        for name in self.unknown:
            if name in arguments:
                raise RefusedError(f"Unknown field: {name}", self.status)
        return "fine"


ACCESS: Json = {"model": "m", "api_base": "http://x", "api_key": "k"}


async def test_it_asks_again_without_what_is_refused() -> None:
    provider = Provider()
    ask = Asking(provider, refused)
    assert await ask(**ACCESS, top_k=3, temperature=1) == "fine"
    assert provider.asked[1:] == [{**ACCESS, "temperature": 1}]


async def test_what_a_model_refuses_always_is_not_sent_to_it_again() -> None:
    provider = Provider()
    ask = Asking(provider, refused)
    await ask(**ACCESS, top_k=3)
    await ask(**ACCESS, top_k=3)
    assert len(provider.asked) == 3
    await ask(**{**ACCESS, "model": "another"}, top_k=3)
    assert len(provider.asked) == 5


@pytest.mark.parametrize(("unknown", "status"), [(("top_k",), 500), (("messages",), 400)])
async def test_any_other_failure_is_raised(unknown: tuple[str, ...], status: int) -> None:
    provider = Provider(unknown, status)
    with pytest.raises(RefusedError):
        await Asking(provider, refused)(**ACCESS, top_k=3, messages=[])
    assert len(provider.asked) == 1


async def test_it_gives_up_after_some_tries() -> None:
    names = ("top_k", "temperature", "top_p", "stop", "stream_options")
    provider = Provider(names)
    with pytest.raises(RefusedError):
        await Asking(provider, refused)(**ACCESS, **dict.fromkeys(names, 1))
    assert len(provider.asked) == MOST_TRIES
