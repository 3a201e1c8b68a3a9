"""In LiteLLM's place where only the life of the translator's process matters, as the real one takes seconds to import.

It has what `neurolink_mitm.translator` touches, asks nobody, and answers every request alike;
one that says "slowly" without an end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

Json = dict[str, Any]

TEXT = "It lives."
USAGE: Json = {"prompt_tokens": 3, "completion_tokens": 2}


class _Answer:
    def __init__(self, *choices: Json, **more: Any) -> None:
        self._made = {"choices": list(choices), **more}

    def model_dump(self, **_: Any) -> Json:
        return self._made


class _Stream:
    def __init__(self, *, slowly: bool) -> None:
        self.completion_stream = _chunks(slowly=slowly)


async def acompletion(*, messages: Any, stream: bool = False, **_: Any) -> _Answer | _Stream:
    if stream:
        return _Stream(slowly="slowly" in str(messages))
    return _Answer({"message": {"content": TEXT}, "finish_reason": "stop"}, usage=USAGE)


async def _chunks(*, slowly: bool) -> AsyncIterator[_Answer]:
    yield _Answer({"delta": {"content": TEXT}})
    while slowly:  # for ever: until it is killed
        yield _Answer({"delta": {"content": TEXT}})
        await asyncio.sleep(0.05)
    yield _Answer({"delta": {}, "finish_reason": "stop"}, usage=USAGE)


def get_model_info(model: str) -> Json:
    return {}


async def aresponses(**_: Any) -> Json:
    raise NotImplementedError
