"""The account that most tests are about: customer-service messages, plain callbacks."""

from collections.abc import AsyncIterator

import pytest

from tests.engine.wechat.account import Account, serving


@pytest.fixture
async def account(database_url: str) -> AsyncIterator[Account]:
    async with serving(database_url) as account:
        yield account
