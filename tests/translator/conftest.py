from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.translator.providers import KINDS, Provider, serving
from tests.translator.running import Running


@pytest.fixture(scope="module", params=list(KINDS))
def provider(request: pytest.FixtureRequest, translator: Running) -> Iterator[Provider]:
    with serving(KINDS[request.param], translator) as provider:
        yield provider
