"""Against running services: one turn and one reply for a message, however often it arrives."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from storage.database import normalise_url
from tests.crash.pushed import order_problems
from tests.crash.records import Records, intake_problems, read_records
from tests.databases import fresh_postgres_database
from tests.sandbox_server import SandboxServer, running_sandbox
from tests.service import Service, running_service

Answer = dict[str, Any]
AGENT = "e2e"
SECRET = {"KEFU_WEBHOOK_SECRET": "exactly-once-secret"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        server.set_webhook_secret(SECRET["KEFU_WEBHOOK_SECRET"])
        yield server


@pytest.fixture(scope="module")
def service(sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("exactly-once") / "data"
    with running_service(folder, sandbox_url=sandbox.url, env=SECRET) as service:
        yield service


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60.0, trust_env=False) as client:
        yield client


async def ask(
    client: httpx.AsyncClient, url: str, message: str, chat: str, text: str = "充电桩怎么安装"
) -> Answer:
    body = {
        "agent_id": AGENT,
        "message": {"id": message, "chat_id": chat, "sender": chat, "content": text},
    }
    response = await client.post(f"{url}/api/v1/messages", json=body)
    assert response.status_code == 200, response.text
    answer: Answer = response.json()
    return answer


def told(answer: Answer) -> Answer:
    """The answer but for the word that it is a repetition."""
    return {name: value for name, value in answer.items() if name != "duplicate"}


def records_of(database_url: str, channel: str, chats: set[str]) -> Records:
    """What the rows say of conversations whose messages are named after their chat."""
    found = read_records(database_url, channel)
    messages = [m for m in found.messages if m["channel_message_id"].rpartition("-")[0] in chats]
    turns = {m["turn_id"] for m in messages}
    return Records(
        messages,
        [r for r in found.replies if r["turn_id"] in turns],
        [t for t in found.turns if t["turn_id"] in turns],
        [d for d in found.deliveries if d["turn_id"] in turns],
        found.dead_letters,
    )


def database_of(service: Service) -> str:
    return f"sqlite:///{service.data_dir / 'kefu.db'}"


def assert_once(database_url: str, chat: str, *, channel: str = "api", messages: int = 1) -> None:
    records = records_of(database_url, channel, {chat})
    assert intake_problems({f"{chat}-{n}" for n in range(messages)}, records) == []


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_a_message_sent_again_gets_the_same_answer(
    service: Service, client: httpx.AsyncClient, times: int
) -> None:
    chat = f"again{times}"
    answers = [await ask(client, service.url, f"{chat}-0", chat) for _ in range(times)]
    assert [a["duplicate"] for a in answers] == [False] + [True] * (times - 1)
    assert all(told(a) == told(answers[0]) for a in answers)
    assert answers[0]["action"] == "reply"
    assert_once(database_of(service), chat)


@pytest.mark.parametrize("times", [5, 20])
async def test_a_message_sent_many_times_at_once_is_answered_once(
    service: Service, client: httpx.AsyncClient, times: int
) -> None:
    chat = f"at-once{times}"
    answers = await asyncio.gather(
        *(ask(client, service.url, f"{chat}-0", chat) for _ in range(times))
    )
    assert sorted(a["duplicate"] for a in answers) == [False] + [True] * (times - 1)
    assert all(told(a) == told(answers[0]) for a in answers)
    assert_once(database_of(service), chat)


@pytest.mark.parametrize("copies", [2, 5, 20])
def test_a_pushed_message_delivered_many_times_is_answered_once(
    service: Service, sandbox: SandboxServer, copies: int
) -> None:
    chat = f"copies{copies}"
    sandbox.set_target(service.url)
    sandbox.fault("webhook", "duplicate", count=1, times=copies)
    said = sandbox.say(chat, "充电桩怎么安装", message_id=f"{chat}-0", wait=10)
    assert (said["state"], said["copies"]) == ("delivered", copies)
    assert len(sandbox.chat(chat, at_least=1, wait=10)) == 1
    sandbox.say(chat, "充电桩怎么安装", message_id=f"{chat}-0", wait=10)
    assert_once(database_of(service), chat, channel="webhook")
    assert len(sandbox.chat(chat)) == 1


@contextlib.asynccontextmanager
async def crowd_of_clients(
    clients: int, connections: int
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """One client with all the connections spends most of its time on its own pool."""
    limits = httpx.Limits(max_connections=connections)
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(limits=limits, timeout=60.0, trust_env=False, verify=False)
            )
            for _ in range(clients)
        ]


async def test_two_hundred_conversations_at_once_each_get_their_own_answers_in_order(
    service: Service,
) -> None:
    chats = [f"crowd{n}" for n in range(200)]
    sent = {f"{chat}-{n}": (chat, n) for n in range(5) for chat in chats}
    texts = ("充电桩怎么安装", "照片修复多少钱", "你好", "门店几点关门", "抠图怎么收费")
    async with crowd_of_clients(20, 50) as clients:
        answers = await asyncio.gather(
            *(
                ask(clients[at % 20], service.url, message, chat, texts[n])
                for at, (message, (chat, n)) in enumerate(sent.items())
            )
        )
    assert [a["message_id"] for a in answers] == list(sent)
    assert {a["action"] for a in answers} <= {"reply", "escalate"}
    records = await asyncio.to_thread(records_of, database_of(service), "api", set(chats))
    assert intake_problems(set(sent), records) == []
    content = {row["turn_id"]: row["content"] for row in records.replies}
    by_message = dict(zip(sent, answers, strict=True))
    for message, answer in by_message.items():
        assert records.messages_of[answer["turn_id"]] == [message]
        assert content[answer["turn_id"]] == answer["content"]
    intents = {n: {by_message[f"{chat}-{n}"]["intent"] for chat in chats} for n in range(5)}
    assert all(len(found) == 1 for found in intents.values()), intents
    for chat, history in _replied(records).items():
        stored = [m["channel_message_id"] for m in records.messages if _chat(m) == chat]
        assert history == stored


def _replied(records: Records) -> dict[str, list[str]]:
    """Of each chat, the messages that its replies answer, in the history's order of replies."""
    found: dict[str, list[str]] = {}
    for reply in records.replies:
        for message in records.messages_of[reply["turn_id"]]:
            found.setdefault(message.rpartition("-")[0], []).append(message)
    return found


def _chat(message: dict[str, Any]) -> str:
    return str(message["channel_message_id"]).rpartition("-")[0]


def test_bursts_that_are_pushed_are_merged_covered_and_answered_in_order(
    service: Service, sandbox: SandboxServer
) -> None:
    chats = [f"burst{n}" for n in range(60)]
    sent = {chat: [f"{chat}-{n}" for n in range(5)] for chat in chats}
    sandbox.set_target(service.url)
    sandbox.say_batch(
        [
            {"chat_id": chat, "message_id": sent[chat][n], "text": f"充电桩怎么安装{n}"}
            for n in range(5)
            for chat in chats
        ]
    )
    assert sandbox.outgoing(wait=30)["pending"] == 0
    _await_quiet(service)
    records = records_of(database_of(service), "webhook", set(chats))
    assert intake_problems({m for messages in sent.values() for m in messages}, records) == []
    shown = {chat: sandbox.chat(chat) for chat in chats}
    assert order_problems(records, sent, shown) == []
    assert len(records.turns) < len(records.messages)


def _await_quiet(service: Service) -> None:
    """Until nothing is unread and nothing waits to be delivered."""
    waiting = ('kefu_backlog{kind="conversations_unread"} 0.0', 'kind="deliveries_pending"} 0.0')

    def quiet() -> bool:
        metrics = httpx.get(f"{service.url}/metrics", trust_env=False).text
        return all(line in metrics for line in waiting)

    _await(quiet, seconds=30)


async def test_an_answer_is_the_same_after_a_restart(
    service: Service, client: httpx.AsyncClient
) -> None:
    chat = "restart"
    before = await ask(client, service.url, f"{chat}-0", chat)
    await asyncio.to_thread(service.restart)
    after = [await ask(client, service.url, f"{chat}-0", chat) for _ in range(3)]
    assert all(told(a) == told(before) for a in after)
    assert_once(database_of(service), chat)


@contextlib.contextmanager
def two_processes(
    server: str, sandbox: SandboxServer, folder: Path, **settings: str
) -> Iterator[tuple[Service, Service, str]]:
    """Two services on one new PostgreSQL database."""
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(fresh_postgres_database(server))
        env = {**SECRET, "KEFU_DATABASE_URL": url, "KEFU_SWEEP_S": "0.3", **settings}
        one, two = (
            stack.enter_context(running_service(folder / name, sandbox_url=sandbox.url, env=env))
            for name in ("one", "two")
        )
        yield one, two, url


@pytest.fixture(scope="module")
def pair(
    postgres_url: str, sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Service, str]]:
    folder = tmp_path_factory.mktemp("pair")
    settings = {"KEFU_LEASE_S": "1.5", "KEFU_DEEPSEEK_API_KEY": "any"}
    with two_processes(postgres_url, sandbox, folder, **settings) as pair:
        yield pair


async def test_two_processes_that_get_one_message_run_one_turn(
    pair: tuple[Service, Service, str], client: httpx.AsyncClient
) -> None:
    one, two, url = pair
    chats = [f"shared{n}" for n in range(20)]
    asked = [(chat, s.url) for chat in chats for s in (one, two) for _ in range(3)]
    answers = await asyncio.gather(*(ask(client, u, f"{chat}-0", chat) for chat, u in asked))
    for at in range(0, len(answers), 6):
        same = answers[at : at + 6]
        assert all(told(a) == told(same[0]) for a in same), json.dumps(same, ensure_ascii=False)
        assert sum(not a["duplicate"] for a in same) == 1
    for chat in chats:
        await asyncio.to_thread(assert_once, url, chat)


async def test_two_processes_that_share_a_conversation_run_one_turn_at_a_time(
    pair: tuple[Service, Service, str], client: httpx.AsyncClient
) -> None:
    one, two, url = pair
    chat = "together"
    answers = await asyncio.gather(
        *(ask(client, (one, two)[n % 2].url, f"{chat}-{n}", chat) for n in range(20))
    )
    assert [a["message_id"] for a in answers] == [f"{chat}-{n}" for n in range(20)]
    assert {a["action"] for a in answers} == {"reply"}
    await asyncio.to_thread(assert_once, url, chat, messages=20)
    records = await asyncio.to_thread(records_of, url, "api", {chat})
    spans = sorted((t["started_ts"], t["ended_ts"]) for t in records.turns)
    assert all(ended <= begun for (_, ended), (begun, _) in itertools.pairwise(spans))


def test_a_process_that_freezes_in_a_turn_is_replaced_and_cannot_answer_again(
    pair: tuple[Service, Service, str], sandbox: SandboxServer
) -> None:
    url, chat = pair[2], "frozen"
    sandbox.set_target(pair[0].url)
    sandbox.clear_journal()
    sandbox.script(reply="[1] 请联系物业安装。", latency=1.0, times=1)
    sandbox.say(chat, "小区没有固定车位能装充电桩吗", message_id=f"{chat}-0", wait=10)
    _await(lambda: bool(sandbox.journal("model/deepseek")))
    holder, other = _by_lease(pair, chat)
    holder.freeze()
    try:
        assert len(sandbox.chat(chat, at_least=1, wait=15)) == 1
    finally:
        holder.thaw()
    _await_quiet(other)
    _await(lambda: "was taken over; its work is dropped" in holder.log())
    assert len(sandbox.chat(chat)) == 1
    assert_once(url, chat, channel="webhook")


def _by_lease(pair: tuple[Service, Service, str], chat: str) -> tuple[Service, Service]:
    """The process that works on ``chat``, and the other one."""
    one, two, url = pair
    engine = create_engine(normalise_url(url))
    query = text("SELECT lease_owner FROM conversations WHERE chat_id = :chat")
    with engine.connect() as connection:
        owner = str(connection.scalar(query, {"chat": chat}))
    engine.dispose()
    return (one, two) if f":{one.pid}:" in owner else (two, one)


def _await(done: Callable[[], bool], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.02)
