"""Claude over Anthropic's own protocol. Importing this module takes a second: see ``providers``."""

from functools import cached_property
from typing import Any

import anthropic
import httpx2
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import Field

from tools.models.providers import ProviderConfig


class SharedClientClaude(ChatAnthropic):
    """ChatAnthropic over a given HTTP client; upstream can only make its own."""

    http_async_client: Any = Field(default=None, exclude=True, repr=False)

    @cached_property
    def _async_client(self) -> anthropic.AsyncClient:
        return anthropic.AsyncClient(**self._client_params, http_client=self.http_async_client)


def build_claude(config: ProviderConfig, http_client: httpx2.AsyncClient) -> BaseChatModel:
    return SharedClientClaude(
        model=config.model,
        base_url=config.base_url.removesuffix("/v1"),
        api_key=config.api_key,
        timeout=config.timeout_s,
        max_retries=0,
        temperature=config.temperature if config.send_sampling else None,
        max_tokens=config.max_tokens,
        model_kwargs={"extra_body": dict(config.extra_body)} if config.extra_body else {},
        default_headers=dict(config.headers) or None,
        stop=None,
        http_async_client=http_client,
    )
