"""The guard while the database is away: nobody is let in whom it cannot ask about, and what was
done is answered."""

import time

import httpx
import pytest
from starlette.responses import PlainTextResponse

from api.guard import Guard
from api.identity import ClientCaller, Tokens
from domain.errors import StorageError
from tests.api.envelope import refusal
from tools.registry import Caller, Role

SECRET = "a secret of the tests, long enough for HS256"
ADMINS = "/api/ops/price-book/reload"
CLIENT = ClientCaller(Role.ADMIN, "boss", generation=1, key=7)


async def _nobody_knows(_caller: ClientCaller) -> ClientCaller | None:
    raise StorageError("the database is away")


async def _nobody_writes(_caller: Caller, _method: str, _path: str, _status: int) -> None:
    raise StorageError("the database is away")


def client(caller: Caller) -> httpx.AsyncClient:
    guard = Guard(
        PlainTextResponse("done"),
        api_key="the key",
        signed=False,
        max_body_bytes=1_000,
        tokens=Tokens(SECRET),
        standing=_nobody_knows,
        record=_nobody_writes,
    )
    token = Tokens(SECRET).issue(caller, now=time.time(), hours=1)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(guard),
        base_url="http://service",
        headers={"Authorization": f"Bearer {token}"},
    )


async def test_a_client_is_asked_to_try_again(caplog: pytest.LogCaptureFixture) -> None:
    async with client(CLIENT) as asking:
        response = await asking.post(ADMINS)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.json()["error"]["code"] == "unavailable"
    assert "the database is away" in caplog.text


async def test_what_was_done_is_answered_and_the_missing_record_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with client(Caller(Role.ADMIN, "老板")) as asking:
        assert (await asking.post(ADMINS)).text == "done"
    assert "not in the audit log" in caplog.text


async def test_no_permission_is_no_matter_of_the_database() -> None:
    async with client(Caller(Role.VIEWER, "小看")) as asking:
        refusal(await asking.post(ADMINS), 403)
