"""Two real services on one PostgreSQL and one Redis: what one has found the other uses, and never
after the knowledge has changed."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.databases import fresh_postgres_database
from tests.redis_server import RedisServer, running_redis
from tests.service import Service, running_service

QUESTION, ANSWER = "蓝鲸牌水箱多久清洗一次", "蓝鲸牌水箱每三个月清洗一次。"
ASKED = "蓝鲸牌的水箱要多久清洗一次呀"
CHANGED = "蓝鲸牌水箱每六个月清洗一次。"
SEEN_S = 60.0


@dataclass
class Pair:
    services: list[Service]
    redis: RedisServer


@pytest.fixture(scope="module")
def pair(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("two")
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis())
        url = stack.enter_context(fresh_postgres_database(postgres_url))
        env = {"KEFU_DATABASE_URL": url, "REDIS_URL": redis.url, "KEFU_INDEX_POLL_S": "0.2"}
        env["KEFU_REDIS_TIMEOUT_S"] = "5"
        services = []
        for name in ("one", "two"):
            data_dir: Path = folder / name
            data_dir.mkdir()
            services.append(stack.enter_context(running_service(data_dir, env=env)))
        yield Pair(services, redis)


def search(service: Service, query: str = ASKED) -> str:
    """The answer of the first entry that it finds."""
    found = httpx.get(
        f"{service.url}/api/knowledge/search",
        params={"query": query},
        timeout=30.0,
        trust_env=False,
    )
    found.raise_for_status()
    evidence: list[dict[str, str]] = found.json()["evidence"]
    return evidence[0]["answer"] if evidence else ""


def looks(service: Service, level: str, outcome: str) -> float:
    wanted = f'kefu_cache_requests_total{{cache="knowledge",level="{level}",outcome="{outcome}"}}'
    lines = httpx.get(f"{service.url}/metrics", timeout=30.0, trust_env=False).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(wanted))


def learn(service: Service) -> str:
    """The new entry's id."""
    made = httpx.post(
        f"{service.url}/api/knowledge/entries",
        json={"question": QUESTION, "answer": ANSWER},
        timeout=30.0,
        trust_env=False,
    )
    made.raise_for_status()
    return str(made.json()["items"][0]["id"])


def change(service: Service, entry: str) -> None:
    httpx.put(
        f"{service.url}/api/knowledge/entries/{entry}",
        json={"answer": CHANGED},
        timeout=30.0,
        trust_env=False,
    ).raise_for_status()


def until(service: Service, answer: str) -> None:
    ends = time.monotonic() + SEEN_S
    while search(service) != answer:
        assert time.monotonic() < ends, f"{answer!r} is not seen"
        time.sleep(0.05)


def test_what_one_has_found_the_other_uses_until_the_knowledge_changes(pair: Pair) -> None:
    one, two = pair.services
    entry = learn(one)
    until(two, ANSWER)
    for number in range(5):
        asked = f"{ASKED}，{number}号店"
        assert search(one, asked) == ANSWER
        assert pair.redis.stored()
        assert search(two, asked) == ANSWER
    assert looks(two, "l2", "hit") >= 1
    change(one, entry)
    assert search(one) == CHANGED
    until(two, CHANGED)
    for number in range(5):
        assert search(two, f"{ASKED}，{number}号店") == CHANGED
    pair.redis.kill()
    for service in pair.services:
        assert search(service, f"请问{ASKED}") == CHANGED
        assert search(service) == CHANGED
        assert looks(service, "l2", "failed") >= 1
