"""Redis as a second level: what lies there, and that its being away, slow or wrong does no harm."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from engine.second_level import MAX_VALUE_BYTES, SecondLevel
from tests.redis_server import RedisServer, running_redis

SECRET, OTHER = b"s" * 32, b"o" * 32
NAME, VALUE = "张三的手机 13800000000 怎么退货", "七天内可以退货".encode()


@pytest.fixture(scope="module")
def one_redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_server(one_redis: RedisServer) -> RedisServer:
    with one_redis.client() as client:
        client.flushall()
    return one_redis


def level(url: str, secret: bytes = SECRET, timeout_s: float = 2.0) -> SecondLevel:
    async def told() -> bytes:
        return secret

    return SecondLevel(url, told, timeout_s=timeout_s)


@pytest.fixture
async def second(redis_server: RedisServer) -> AsyncIterator[SecondLevel]:
    found = level(redis_server.url)
    yield found
    await found.aclose()


async def put(second: SecondLevel, ttl_s: float = 60.0) -> None:
    assert second.put(NAME, VALUE, ttl_s=ttl_s)
    await second.written()


async def test_what_one_process_puts_another_gets(
    second: SecondLevel, redis_server: RedisServer
) -> None:
    assert (await second.get(NAME)).outcome == "miss"
    await put(second)
    other = level(redis_server.url)
    found = await other.get(NAME)
    assert (found.outcome, found.value) == ("hit", VALUE)
    assert 50.0 < found.left_s <= 60.0
    await other.aclose()


async def test_neither_names_nor_values_lie_there_in_the_clear(
    second: SecondLevel, redis_server: RedisServer
) -> None:
    await put(second)
    stored = redis_server.stored()
    with redis_server.client() as client:
        assert [0 < client.pttl(key) <= 60_000 for key in stored] == [True]
    for word in ("张三", "13800000000", "退货"):
        assert word.encode() not in b"".join([*stored, *stored.values()])


async def test_values_of_another_secret_or_place_are_refused(
    second: SecondLevel, redis_server: RedisServer
) -> None:
    await put(second)
    assert second.put("another question", b"another answer", ttl_s=60.0)
    await second.written()
    stored = redis_server.stored()
    one, other = stored
    with redis_server.client() as client:
        client.set(one, stored[other])
        outcomes = {(await second.get(name)).outcome for name in (NAME, "another question")}
        assert outcomes == {"hit", "refused"}
        for key in stored:
            client.set(key, b"short")
    assert (await second.get(NAME)).outcome == "refused"
    stranger = level(redis_server.url, OTHER)
    assert (await stranger.get(NAME)).outcome == "miss"
    await stranger.aclose()


async def test_an_emptied_redis_is_a_miss(second: SecondLevel, redis_server: RedisServer) -> None:
    await put(second)
    with redis_server.client() as client:
        client.flushall()
    assert (await second.get(NAME)).outcome == "miss"


async def test_a_value_too_large_or_too_old_is_not_sent(
    second: SecondLevel, redis_server: RedisServer
) -> None:
    assert not second.put(NAME, b"x" * (MAX_VALUE_BYTES + 1), ttl_s=60.0)
    await put(second, ttl_s=0.0)
    with redis_server.client() as client:
        assert client.dbsize() == 0


async def test_a_dead_redis_is_given_up_at_once_and_found_again_when_it_is_back() -> None:
    with running_redis() as server:
        second = level(server.url)
        await put(second)
        server.kill()
        outcomes = [(await second.get(NAME)).outcome for _ in range(5)]
        assert outcomes[:3] == ["failed"] * 3
        assert outcomes[3:] == ["skipped"] * 2
        assert not second.put(NAME, VALUE, ttl_s=60.0)
        server.start()
        async with asyncio.timeout(60):
            while (await second.get(NAME)).outcome != "miss":  # noqa: ASYNC110 - time closes it
                await asyncio.sleep(0.05)
        await put(second)
        assert (await second.get(NAME)).value == VALUE
        await second.aclose()


async def test_a_redis_that_hangs_costs_no_more_than_the_time_allowed() -> None:
    with running_redis() as server:
        second = level(server.url, timeout_s=0.2)
        await put(second)
        server.freeze()
        began = time.monotonic()
        outcomes = [(await second.get(NAME)).outcome for _ in range(50)]
        took = time.monotonic() - began
        server.thaw()
        assert outcomes.count("failed") == 3
        assert took < 50 * 0.2
        await second.aclose()
