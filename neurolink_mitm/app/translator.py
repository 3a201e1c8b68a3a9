"""The translator as the configuration wants it: which providers it asks, with which keys, and whether it is needed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.network import Network
from neurolink_mitm.adapters.translator import TranslatorProcess
from neurolink_mitm.config.apply import follow
from neurolink_mitm.config.sources import Sources
from neurolink_mitm.core.providers import destinations
from neurolink_mitm.core.providers.catalog import environment_for
from neurolink_mitm.core.providers.translator import Setup, setup_for
from neurolink_mitm.ports import Runtime


def set_translator(runtime: Runtime, home: Home, sources: Sources) -> TranslatorProcess:
    """Set the translator, which follows the configuration."""
    secret = secrets.token_urlsafe(24)

    def setup() -> tuple[Setup, Mapping[str, str]]:
        return _for_translator(runtime, secret, sources.network)

    def wanted() -> bool:
        """Whether a model of another provider is configured and can be asked; passthrough is Anthropic's alone."""
        pool, now = runtime.pool, runtime.clock.now()
        models = (each for each in pool.fallbacks if each.model and not each.disabled)
        paid_for = (pool.budget.ineligible(each, now, beside_subscription=True) for each in models)
        return not runtime.passthrough and not all(paid_for)

    runtime.translator = translator = TranslatorProcess(
        home.logs / "translator.log", *setup(), wanted
    )
    follow(runtime, lambda _: translator.configure(*setup()))
    return translator


def _for_translator(
    runtime: Runtime, secret: str, network: Network
) -> tuple[Setup, Mapping[str, str]]:
    config, environ = runtime.config, runtime.environ
    named = destinations.asked_providers(config)
    embeddings = destinations.with_embeddings(config, environ)
    variables = (
        environment_for(destinations.all_asked(config, environ), environ) | network.environment()
    )
    return setup_for(named, config.providers, environ, secret, embeddings), variables
