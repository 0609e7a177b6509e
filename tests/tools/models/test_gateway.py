"""The gateway over real sockets: which provider answers, when, and what is recorded."""

import asyncio
import logging
import socket
import time
from typing import Any

import pytest

from domain.errors import ConfigurationError
from tests.sandbox_server import SandboxServer
from tests.tools.models.conftest import OpenGateway, provider
from tools.models.breaker import BreakerPolicy, BreakerState
from tools.models.calls import ChatMessage, Outcome
from tools.models.errors import ModelsExhausted
from tools.models.gateway import ModelGateway
from tools.models.providers import provider_config

ASKED = [ChatMessage("system", "你是客服。"), ChatMessage("user", "在吗")]

FAULTS: list[tuple[str, dict[str, Any], Outcome, int | None]] = [
    ("refuse", {}, "refused", None),
    ("status", {"status": 401}, "auth", 401),
    ("status", {"status": 402}, "quota", 402),
    ("status", {"status": 429, "headers": {"retry-after": "0.3"}}, "rate_limited", 429),
    ("status", {"status": 429, "headers": {"retry-after": "600"}}, "rate_limited", 429),
    ("status", {"status": 500}, "server", 500),
    ("status", {"status": 400}, "bad_request", 400),
    (
        "status",
        {"status": 200, "body": {"code": "rpm_rate_limit_exceeded", "msg": "slow down"}},
        "rate_limited",
        200,
    ),
    ("status", {"status": 200, "body": {"error": {"code": "internal_error"}}}, "server", 200),
    ("hang", {}, "timeout", None),
    ("lost_answer", {}, "refused", None),
    ("cut_stream", {}, "cut_stream", None),
    ("garbage", {}, "garbage", None),
    ("garbage", {"body": "<html>502 Bad Gateway</html>"}, "garbage", None),
    ("empty", {}, "empty", None),
]
IDS = [f"{kind}-{params.get('status', '')}-{n}" for n, (kind, params, *_) in enumerate(FAULTS)]


class Listener:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.restarts = 0

    async def token(self, piece: str) -> None:
        self.pieces.append(piece)

    async def restart(self) -> None:
        self.pieces.clear()
        self.restarts += 1


async def test_the_first_provider_answers_while_it_can(pair: ModelGateway) -> None:
    answer = await pair.generate(ASKED, purpose="reply", deadline=10)
    assert (answer.text, answer.provider, answer.model) == ("我是 one。", "one", "sandbox-chat")
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize(("kind", "params", "outcome", "status"), FAULTS, ids=IDS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_whatever_befalls_the_first_the_second_answers_in_time_and_the_record_says_why(
    sandbox_server: SandboxServer,
    pair: ModelGateway,
    streamed: bool,
    kind: str,
    params: dict[str, Any],
    outcome: Outcome,
    status: int | None,
) -> None:
    sandbox_server.fault("model/one", kind, **params)
    listener = Listener()
    begun = time.monotonic()
    answer = await pair.generate(
        ASKED,
        purpose="reply",
        deadline=5,
        on_token=listener.token if streamed else None,
        on_restart=listener.restart if streamed else None,
    )
    assert time.monotonic() - begun < 5
    assert (answer.provider, answer.text) == ("two", "我是 two。")
    *failed, last = answer.calls
    assert failed
    for call in failed:
        assert (call.provider, call.outcome, call.status) == ("one", outcome, status)
        assert call.error
    assert (last.provider, last.outcome, last.attempt, last.status) == ("two", "ok", 1, 200)
    if streamed:
        assert "".join(listener.pieces) == answer.text


async def test_a_call_is_recorded_with_what_it_took(pair: ModelGateway) -> None:
    before = time.time()
    (call,) = (await pair.generate(ASKED, purpose="classify", deadline=10)).calls
    assert (call.provider, call.purpose, call.outcome) == ("one", "classify", "ok")
    assert call.tokens_in > 0
    assert call.tokens_out > 0
    assert not call.tokens_estimated
    assert call.cost == pytest.approx(call.tokens_in * 1e-3 + call.tokens_out * 2e-3)
    assert call.currency == "CNY"
    assert 0 < call.latency_ms < 10_000
    assert before <= call.started_at <= time.time()


async def test_a_stream_reports_the_same_usage(pair: ModelGateway) -> None:
    whole = await pair.generate(ASKED, purpose="reply", deadline=10)
    streamed = await pair.generate(ASKED, purpose="reply", deadline=10, on_token=Listener().token)
    one, other = whole.calls[0], streamed.calls[0]
    assert (one.tokens_in, one.tokens_out) == (other.tokens_in, other.tokens_out)
    assert not other.tokens_estimated


async def test_usage_is_estimated_where_the_provider_does_not_tell(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    gateway = open_gateway(provider(sandbox_server, "quiet", stream_usage=False))
    answer = await gateway.generate(ASKED, purpose="r", deadline=10, on_token=Listener().token)
    (call,) = answer.calls
    assert call.tokens_estimated
    assert call.tokens_in > 0
    assert call.tokens_out > 0


async def test_when_all_fail_the_error_lists_why_of_each(
    sandbox_server: SandboxServer, pair: ModelGateway
) -> None:
    sandbox_server.fault("model/one", "status", status=401)
    sandbox_server.fault("model/two", "status", status=503)
    with pytest.raises(ModelsExhausted) as raised:
        await pair.generate(ASKED, purpose="reply", deadline=5)
    assert [(c.provider, c.outcome, c.attempt) for c in raised.value.calls] == [
        ("one", "auth", 1),
        ("two", "server", 1),
        ("two", "server", 2),
    ]
    message = str(raised.value)
    assert "one: auth (HTTP 401)" in message
    assert "two: server (HTTP 503, 2 attempts)" in message


async def test_without_providers_there_is_nothing_to_ask(open_gateway: OpenGateway) -> None:
    gateway = open_gateway()
    assert not gateway.available
    with pytest.raises(ModelsExhausted, match="no provider is configured"):
        await gateway.generate(ASKED, purpose="reply", deadline=5)


async def test_a_hanging_chain_ends_at_the_deadline(
    sandbox_server: SandboxServer, pair: ModelGateway
) -> None:
    sandbox_server.fault("model/one", "hang")
    sandbox_server.fault("model/two", "hang")
    begun, rung = time.monotonic(), list[float]()
    asyncio.get_running_loop().call_later(0.6, lambda: rung.append(time.monotonic()))
    with pytest.raises(ModelsExhausted) as raised:
        await pair.generate(ASKED, purpose="reply", deadline=0.6)
    ended = time.monotonic()
    assert ended - begun > 0.5
    assert not rung or ended - rung[0] < 0.6, "later than this loop's own alarm"
    assert [call.provider for call in raised.value.calls][:2] == ["one", "two"]
    assert {call.outcome for call in raised.value.calls} == {"timeout"}


async def test_nothing_is_asked_without_time(pair: ModelGateway) -> None:
    with pytest.raises(ModelsExhausted) as raised:
        await pair.generate(ASKED, purpose="reply", deadline=0)
    assert [call.outcome for call in raised.value.calls] == ["deadline", "deadline"]


async def test_nobody_listening_counts_as_refused(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    dead = provider_config(
        "custom", name="dead", api_key="k", base_url=f"http://127.0.0.1:{port}/v1", model="m"
    )
    gateway = open_gateway(dead, provider(sandbox_server, "alive"))
    answer = await gateway.generate(ASKED, purpose="reply", deadline=10)
    assert answer.provider == "alive"
    assert {call.outcome for call in answer.calls[:-1]} == {"refused"}


# Retry -------------------------------------------------------------------------------------


async def test_a_passing_fault_is_retried_at_the_same_provider(
    sandbox_server: SandboxServer, pair: ModelGateway
) -> None:
    sandbox_server.fault("model/one", "status", status=500, count=1)
    answer = await pair.generate(ASKED, purpose="reply", deadline=10)
    assert [(c.provider, c.outcome, c.attempt) for c in answer.calls] == [
        ("one", "server", 1),
        ("one", "ok", 2),
    ]


async def test_a_requested_pause_that_fits_is_kept(
    sandbox_server: SandboxServer, pair: ModelGateway
) -> None:
    sandbox_server.fault("model/one", "status", status=429, count=1, headers={"retry-after": "1"})
    answer = await pair.generate(ASKED, purpose="reply", deadline=10)
    assert answer.provider == "one"
    first, second = sandbox_server.journal("model/one", kind="chat")
    assert second["time"] - first["time"] >= 1.0


async def test_a_requested_pause_that_does_not_fit_is_not_waited_for(
    sandbox_server: SandboxServer, pair: ModelGateway
) -> None:
    sandbox_server.fault("model/one", "status", status=429, headers={"retry-after": "8"})
    begun = time.monotonic()
    answer = await pair.generate(ASKED, purpose="reply", deadline=10)
    assert answer.provider == "two"
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "insufficient_quota", "message": "m"}},
        {"error": {"type": "exceeded_current_quota_error", "message": "m"}},
    ],
)
async def test_a_spent_account_is_not_asked_again(
    sandbox_server: SandboxServer, pair: ModelGateway, body: dict[str, Any]
) -> None:
    sandbox_server.fault("model/one", "status", status=429, body=body)
    for _ in range(3):
        assert (await pair.generate(ASKED, purpose="reply", deadline=10)).provider == "two"
    assert len(sandbox_server.journal("model/one")) == 1


# Breaker -----------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_the_breaker_opens_skips_and_comes_back_with_one_probe(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    clock = Clock()
    gateway = open_gateway(
        provider(sandbox_server, "one", max_attempts=1),
        provider(sandbox_server, "two"),
        breaker=BreakerPolicy(failures=2, wait=30),
        clock=clock,
    )
    sandbox_server.fault("model/one", "status", status=500)
    for _ in range(4):
        await gateway.generate(ASKED, purpose="reply", deadline=10)
    assert len(sandbox_server.journal("model/one")) == 2
    assert gateway.snapshot()[0].state is BreakerState.OPEN
    assert gateway.snapshot()[0].counts == {"server": 2, "open": 2}
    assert gateway.available

    sandbox_server.clear_faults()
    sandbox_server.model_latency(0.2, peer="model/one")
    clock.now += 30
    assert gateway.snapshot()[0].state is BreakerState.HALF_OPEN
    asked = (gateway.generate(ASKED, purpose="reply", deadline=10) for _ in range(5))
    answers = await asyncio.gather(*asked)
    assert sorted(answer.provider for answer in answers) == ["one", "two", "two", "two", "two"]
    assert gateway.snapshot()[0].state is BreakerState.CLOSED


async def test_with_every_breaker_open_the_gateway_is_not_available(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    gateway = open_gateway(provider(sandbox_server, "one"))
    sandbox_server.fault("model/one", "status", status=401)
    assert gateway.available
    for outcome in ("auth", "open"):
        with pytest.raises(ModelsExhausted) as raised:
            await gateway.generate(ASKED, purpose="reply", deadline=10)
        assert [call.outcome for call in raised.value.calls] == [outcome]
    assert not gateway.available


async def test_a_hurried_callers_time_outs_do_not_open_the_breaker(
    sandbox_server: SandboxServer, pair: ModelGateway
) -> None:
    sandbox_server.model_latency(2.4, peer="model/one")
    for _ in range(BreakerPolicy().failures + 1):
        assert (await pair.generate(ASKED, purpose="r", deadline=1.5)).provider == "two"
    assert pair.snapshot()[0].state is BreakerState.CLOSED


# Streaming ---------------------------------------------------------------------------------


async def test_tokens_arrive_in_order_while_the_answer_is_being_written(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    text = "一二三四五六七八九十,甲乙丙丁戊己庚辛壬癸。" * 3
    sandbox_server.script(reply=text)
    sandbox_server.model_latency(0, per_chunk=0.02)
    gateway = open_gateway(provider(sandbox_server, "one"))
    await gateway.warm()
    arrivals: list[float] = []
    listener = Listener()

    async def token(piece: str) -> None:
        arrivals.append(time.monotonic())
        await listener.token(piece)

    answer = await gateway.generate(ASKED, purpose="reply", deadline=20, on_token=token)
    assert "".join(listener.pieces) == answer.text == text
    assert len(listener.pieces) > 5
    assert arrivals[-1] - arrivals[0] > 0.1


async def test_a_cut_stream_is_taken_back_before_the_next_provider_begins(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    sandbox_server.script(reply="第一家说了一半就断了,后面没有了。" * 4, peer="model/one")
    sandbox_server.script(reply="第二家的完整回答。", peer="model/two")
    sandbox_server.fault("model/one", "cut_stream", chunks=4)
    gateway = open_gateway(provider(sandbox_server, "one"), provider(sandbox_server, "two"))
    seen: list[str] = []

    async def token(piece: str) -> None:
        seen.append(piece)

    async def restart() -> None:
        seen.append("<restart>")

    answer = await gateway.generate(
        ASKED, purpose="reply", deadline=10, on_token=token, on_restart=restart
    )
    at = seen.index("<restart>")
    assert at > 0
    assert seen.count("<restart>") == 1
    assert "".join(seen[at + 1 :]) == answer.text == "第二家的完整回答。"
    first, second = answer.calls
    assert (first.outcome, first.provider, first.tokens_estimated) == ("cut_stream", "one", True)
    assert first.tokens_out > 0
    assert (second.outcome, second.provider) == ("ok", "two")


async def test_a_flowing_stream_may_use_more_than_its_share_of_the_time(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    sandbox_server.script(reply="慢慢说,不着急,一个字一个字地说。" * 7, peer="model/one")
    sandbox_server.model_latency(0, per_chunk=0.06, peer="model/one")
    gateway = open_gateway(provider(sandbox_server, "one"), provider(sandbox_server, "two"))
    await gateway.warm()
    begun = time.monotonic()
    answer = await gateway.generate(ASKED, purpose="reply", deadline=3.0, on_token=Listener().token)
    assert answer.provider == "one"
    assert time.monotonic() - begun > 1.5


async def test_what_the_listener_raises_is_the_callers_and_not_the_providers_fault(
    pair: ModelGateway,
) -> None:
    async def token(_: str) -> None:
        raise ConnectionResetError("the browser has gone")

    with pytest.raises(ConnectionResetError, match="browser"):
        await pair.generate(ASKED, purpose="reply", deadline=10, on_token=token)
    assert pair.snapshot()[0].counts == {}


async def test_thoughts_written_into_the_content_reach_no_customer(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    sandbox_server.script(reply="<think>客户好像不高兴</think>\n您好!")
    gateway = open_gateway(provider(sandbox_server, "one"))
    listener = Listener()
    whole = await gateway.generate(ASKED, purpose="reply", deadline=10)
    await gateway.generate(ASKED, purpose="reply", deadline=10, on_token=listener.token)
    assert whole.text == "".join(listener.pieces) == "您好!"


# What is sent ------------------------------------------------------------------------------


async def test_json_mode_gives_json_or_goes_to_the_next(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    sandbox_server.script(reply="好的,这就给您 JSON", peer="model/one")
    sandbox_server.script(reply='```json\n{"intent": "price"}\n```', peer="model/two")
    gateway = open_gateway(
        provider(sandbox_server, "one", max_attempts=1), provider(sandbox_server, "two")
    )
    answer = await gateway.generate(ASKED, purpose="classify", deadline=10, json_mode=True)
    assert answer.text == '{"intent": "price"}'
    assert answer.calls[0].outcome == "garbage"
    sent = sandbox_server.journal("model/two", kind="chat")[0]["body"]
    assert sent["response_format"] == {"type": "json_object"}
    assert "JSON" in sent["messages"][0]["content"]


async def test_a_filtered_answer_is_not_an_answer(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    sandbox_server.script(reply="半句", finish_reason="content_filter", peer="model/one")
    gateway = open_gateway(provider(sandbox_server, "one"), provider(sandbox_server, "two"))
    answer = await gateway.generate(ASKED, purpose="reply", deadline=10)
    assert [(call.provider, call.outcome) for call in answer.calls] == [
        ("one", "content_filter"),
        ("two", "ok"),
    ]


async def test_a_request_carries_what_its_provider_understands(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    kimi = provider(sandbox_server, "kimi", preset="moonshot", model="kimi-k2.6")
    deepseek = provider(
        sandbox_server,
        "deepseek",
        preset="deepseek",
        model="deepseek-flash",
        headers={"X-Team": "kefu"},
    )
    for config in (kimi, deepseek):
        await open_gateway(config).generate(ASKED, purpose="reply", deadline=10, max_tokens=77)
    sent = sandbox_server.journal("model/kimi")[0]["body"]
    assert "temperature" not in sent
    assert "max_tokens" not in sent
    assert sent["max_completion_tokens"] == 77
    assert sent["thinking"] == {"type": "disabled"}
    entry = sandbox_server.journal("model/deepseek")[0]
    assert entry["body"]["temperature"] == 0.3
    assert entry["body"]["max_tokens"] == 77
    assert "max_completion_tokens" not in entry["body"]
    assert entry["headers"]["x-team"] == "kefu"
    assert [message["role"] for message in entry["body"]["messages"]] == ["system", "user"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_claude_speaks_its_own_protocol_over_the_same_client(
    sandbox_server: SandboxServer, open_gateway: OpenGateway, streamed: bool
) -> None:
    sandbox_server.script(reply="我是 Claude。", peer="model/claude")
    config = provider(sandbox_server, "claude", preset="claude", model="claude-haiku-5-5")
    talk = [*ASKED, ChatMessage("system", "语气亲切。")]
    answer = await open_gateway(config).generate(
        talk, purpose="reply", deadline=10, on_token=Listener().token if streamed else None
    )
    assert (answer.text, answer.finish_reason) == ("我是 Claude。", "stop")
    assert answer.calls[0].tokens_in > 0
    assert answer.calls[0].tokens_out > 0
    entry = sandbox_server.journal("model/claude")[0]
    assert entry["path"].endswith("/v1/messages")
    assert "temperature" not in entry["body"]
    assert "你是客服。" in str(entry["body"]["system"])
    assert "语气亲切。" in str(entry["body"]["system"])


@pytest.mark.parametrize(
    ("kind", "params", "outcome"),
    [
        ("status", {"status": 529}, "server"),
        ("status", {"status": 401}, "auth"),
        ("refuse", {}, "refused"),
        ("garbage", {}, "garbage"),
        ("empty", {}, "empty"),
    ],
)
async def test_claudes_faults_are_told_apart_too(
    sandbox_server: SandboxServer,
    open_gateway: OpenGateway,
    kind: str,
    params: dict[str, Any],
    outcome: Outcome,
) -> None:
    sandbox_server.fault("model/claude", kind, **params)
    config = provider(sandbox_server, "claude", preset="claude", model="m", max_attempts=1)
    gateway = open_gateway(config, provider(sandbox_server, "two"))
    answer = await gateway.generate(ASKED, purpose="reply", deadline=10)
    assert [call.outcome for call in answer.calls] == [outcome, "ok"]


# Budget, secrets, life cycle ---------------------------------------------------------------


async def test_a_provider_over_its_budget_rests_until_beijings_midnight(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    wall = Clock()
    wall.now = 1_790_000_000.0 - 1_790_000_000.0 % 86_400 + 15 * 3600  # 23:00 in Beijing
    gateway = open_gateway(
        provider(sandbox_server, "one", daily_token_budget=1000),
        provider(sandbox_server, "two"),
        tokens_today={"one": 999},
        wall=wall,
    )
    answer = await gateway.generate(ASKED, purpose="reply", deadline=10)
    assert [(c.provider, c.outcome, c.attempt) for c in answer.calls] == [
        ("one", "budget", 0),
        ("two", "ok", 1),
    ]
    wall.now += 3600
    answer = await gateway.generate(ASKED, purpose="reply", deadline=10)
    assert answer.provider == "one"
    used = answer.calls[0].tokens_in + answer.calls[0].tokens_out
    assert gateway.snapshot()[0].tokens_today == used


async def test_no_log_record_error_or_snapshot_holds_a_secret(
    sandbox_server: SandboxServer, open_gateway: OpenGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, header = "ak-unusual-form-4711", "header-value-0815"
    sandbox_server.fault(
        "model/one",
        "status",
        status=401,
        body={"error": {"message": f"key {secret} and {header} are no good"}},
    )
    config = provider(sandbox_server, "one", api_key=secret, headers={"X-Gateway-Token": header})
    gateway = open_gateway(config)
    with pytest.raises(ModelsExhausted) as raised:
        await gateway.generate(ASKED, purpose="reply", deadline=10)
    warnings = [record for record in caplog.records if record.name.startswith("tools.models")]
    assert warnings
    told = [str(raised.value), repr(raised.value.calls), repr(gateway.snapshot()), repr(config)]
    told += [record.getMessage() for record in caplog.records]
    for text in told:
        assert secret not in text
        assert header not in text


async def test_two_providers_of_one_name_are_refused(sandbox_server: SandboxServer) -> None:
    twins = [provider(sandbox_server, "one"), provider(sandbox_server, "one")]
    with pytest.raises(ConfigurationError, match="'one' appears twice"):
        ModelGateway(twins)


async def test_the_snapshot_adds_up(sandbox_server: SandboxServer, pair: ModelGateway) -> None:
    sandbox_server.fault("model/one", "status", status=400, count=1)
    answers = [await pair.generate(ASKED, purpose="reply", deadline=10) for _ in range(3)]
    calls = [call for answer in answers for call in answer.calls]
    one, two = pair.snapshot()
    assert one.counts == {"bad_request": 1, "ok": 2}
    assert two.counts == {"ok": 1}
    assert one.attempts + two.attempts == len(calls)
    assert one.tokens_in + two.tokens_in == sum(call.tokens_in for call in calls)
    assert one.cost + two.cost == pytest.approx(sum(call.cost or 0 for call in calls))
    assert one.last_error.startswith("bad_request")
    assert one.last_error_at is not None
    assert (two.last_error, two.last_error_at) == ("", None)


async def test_a_cancelled_call_ends_at_once_and_spoils_nothing(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    gateway = open_gateway(provider(sandbox_server, "one"), provider(sandbox_server, "two"))
    await gateway.warm()
    sandbox_server.fault("model/one", "hang")
    task = asyncio.create_task(gateway.generate(ASKED, purpose="reply", deadline=30))
    await asyncio.to_thread(sandbox_server.journal, "model/one", at_least=1, wait=10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    sandbox_server.clear_faults()
    assert gateway.snapshot()[0].counts == {}
    assert (await gateway.generate(ASKED, purpose="reply", deadline=10)).provider == "one"


async def test_a_hundred_calls_do_not_wait_for_each_other(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    gateway = open_gateway(provider(sandbox_server, "one"))
    await gateway.warm()
    await gateway.generate(ASKED, purpose="reply", deadline=10)
    sandbox_server.model_latency(0.2)
    begun = time.monotonic()
    asked = (gateway.generate(ASKED, purpose="reply", deadline=20) for _ in range(100))
    answers = await asyncio.gather(*asked)
    assert time.monotonic() - begun < 100 * 0.2 / 3
    assert {answer.provider for answer in answers} == {"one"}
    assert {len(answer.calls) for answer in answers} == {1}
