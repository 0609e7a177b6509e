"""Gateways over the sandbox's model providers."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox
from tools.models.gateway import ModelGateway
from tools.models.prices import parse_prices
from tools.models.providers import ProviderConfig, provider_config

__all__ = ["sandbox_server", "shared_sandbox"]

PRICES = parse_prices("models: {sandbox-chat: {input: 1000, output: 2000, currency: CNY}}")

OpenGateway = Callable[..., ModelGateway]


def provider(sandbox: SandboxServer, name: str, **overrides: Any) -> ProviderConfig:
    preset = overrides.pop("preset", "custom")
    native = preset == "claude"
    return provider_config(
        preset,
        name=name,
        api_key=overrides.pop("api_key", f"sk-{name}"),
        base_url=sandbox.anthropic_url(name) if native else sandbox.model_url(name),
        model=overrides.pop("model", "sandbox-chat"),
        **overrides,
    )


@pytest.fixture
async def open_gateway() -> AsyncIterator[OpenGateway]:
    """Makes gateways that are closed with the test."""
    opened: list[ModelGateway] = []

    def make(*configs: ProviderConfig, **arguments: Any) -> ModelGateway:
        gateway = ModelGateway(configs, PRICES, **{"first_pause": 0.02, **arguments})
        opened.append(gateway)
        return gateway

    yield make
    for gateway in opened:
        await gateway.aclose()


@pytest.fixture
async def pair(sandbox_server: SandboxServer, open_gateway: OpenGateway) -> ModelGateway:
    """Providers ``one`` and ``two``; they say their names."""
    for name in ("one", "two"):
        sandbox_server.script(reply=f"我是 {name}。", peer=f"model/{name}")
    gateway = open_gateway(provider(sandbox_server, "one"), provider(sandbox_server, "two"))
    await gateway.warm()
    return gateway
