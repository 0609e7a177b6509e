"""Traces of a real service, as a collector, Langfuse and LangSmith get them over HTTP."""

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.metrics import Metrics
from engine.otel import OtelTracing
from engine.settings import load_settings
from engine.tracing import NO_TRACING, Target, build_tracing, targets, trace_number
from tests.sandbox_server import JsonObject, SandboxServer, running_sandbox
from tests.service import ROOT, Service, free_port, running_service

PHONE, NAME = "15412345678", "欧阳晓测"
ASKED = "充电桩怎么安装"
TOLD = f"我是{NAME}，电话{PHONE}，想装充电桩"
FOR_THE_MODEL = "家用充电桩安装需要多长时间"
CHAT = "chat deepseek-flash"
TRACES = {
    "KEFU_TRACE_TEXT": "hidden",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9/replaced-by-the-sandbox",
    "OTEL_EXPORTER_OTLP_HEADERS": "x-collector-secret=for-the-collector-alone",
    "OTEL_BSP_SCHEDULE_DELAY": "50",
    "LANGFUSE_PUBLIC_KEY": "pk-test",
    "LANGFUSE_SECRET_KEY": "sk-test-secret",
    "LANGSMITH_TRACING": "true",
    "LANGSMITH_API_KEY": "ls-test-key",
    "DEEPSEEK_API_KEY": "test",
    "KEFU_SYNC_DEADLINE_S": "60",
}


@dataclass
class Stage:
    service: Service
    sandbox: SandboxServer

    def say(self, words: str, *, caller: str = "", chat: str = "") -> dict[str, Any]:
        chat = chat or f"g{secrets.token_hex(6)}"
        message = {"id": secrets.token_hex(8), "chat_id": chat}
        message |= {"sender": "客户", "sender_name": NAME, "content": words}
        answer = httpx.post(
            f"{self.service.url}/api/v1/messages",
            json={"agent_id": "t", "message": message},
            headers={"traceparent": caller} if caller else {},
            timeout=60.0,
            trust_env=False,
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def spans(self, at_least: int = 1, **chosen: str) -> list[JsonObject]:
        path = "/_sandbox/otlp/spans"
        found: list[JsonObject] = self.sandbox.get(path, at_least=at_least, wait=30, **chosen)[
            "spans"
        ]
        return found

    def trace_of(self, answer: dict[str, Any], target: str = "otlp") -> dict[str, JsonObject]:
        """Spans of a turn by name; complete, since the turn's own ends last."""
        trace = f"{trace_number(answer['turn_id']):032x}"
        self.spans(1, target=target, trace_id=trace, name="turn")
        return {span["name"]: span for span in self.spans(1, target=target, trace_id=trace)}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    port = free_port()
    folder = tmp_path_factory.mktemp("traced") / "data"
    env = TRACES | {"KEFU_LOG_LEVEL": "INFO"}
    with (
        running_sandbox(f"http://127.0.0.1:{port}") as sandbox,
        running_service(folder, sandbox_url=sandbox.url, env=env, port=port) as service,
    ):
        yield Stage(service, sandbox)


def test_a_turn_holds_its_nodes_and_they_hold_the_search_and_the_call_of_the_model(
    stage: Stage,
) -> None:
    answer = stage.say(FOR_THE_MODEL)
    trace = stage.trace_of(answer)
    turn = trace["turn"]
    assert turn["parent_id"] == ""
    told = turn["attributes"]
    assert told["gen_ai.operation.name"] == "invoke_agent"
    assert told["kefu.turn.id"] == answer["turn_id"]
    assert told["gen_ai.conversation.id"] == answer["conversation_id"]
    assert told["kefu.decision"] == answer["decision"]
    for node in answer["nodes"]:
        assert trace[f"node {node}"]["parent_id"] == turn["span_id"]
    search, chat = trace["search knowledge"], trace[CHAT]
    assert search["parent_id"] == trace["node retrieve"]["span_id"]
    assert chat["parent_id"] == trace["node reply"]["span_id"]
    assert chat["kind"] == "client"
    assert chat["attributes"]["gen_ai.provider.name"] == "deepseek"
    assert chat["attributes"]["gen_ai.usage.input_tokens"] > 0


def test_every_target_gets_the_same_trace_with_the_key_that_it_asks_for(stage: Stage) -> None:
    answer = stage.say(ASKED)
    names = [set(stage.trace_of(answer, target)) for target in ("otlp", "langfuse", "langsmith")]
    assert names[0] == names[1] == names[2]
    for sent in stage.sandbox.journal("otlp"):
        assert sent["status"] == 200, sent
        is_collector = sent["path"].startswith("/otlp/v1")
        assert is_collector or "x-collector-secret" not in sent["headers"]


def test_no_personal_data_leaves_and_langchain_sends_nothing_of_its_own(stage: Stage) -> None:
    chat = f"g{secrets.token_hex(6)}"
    first = stage.say(TOLD, chat=chat)
    told = stage.trace_of(first)["turn"]["attributes"]
    assert "〔手机1〕" in told["gen_ai.input.messages"]
    assert "充电桩" in told["gen_ai.input.messages"]
    assert "gen_ai.output.messages" in told
    for target in ("otlp", "langfuse", "langsmith"):
        stage.trace_of(first, target)
        prompt = stage.trace_of(stage.say(FOR_THE_MODEL), target)[CHAT]["attributes"]
        assert FOR_THE_MODEL in prompt["gen_ai.input.messages"]
    stored = str([span["attributes"] for span in stage.spans()])
    assert "充电桩" in stored
    journal = stage.sandbox.journal("otlp")
    assert {entry["kind"] for entry in journal} == {"traces"}
    for hidden in (PHONE, NAME):
        assert hidden not in stored
        assert not [entry["seq"] for entry in journal if hidden in str(entry)]


def test_a_callers_trace_holds_the_request_and_the_turn(stage: Stage) -> None:
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    answer = stage.say(ASKED, caller=f"00-{trace}-{parent}-01")
    turn = stage.spans(1, target="otlp", trace_id=trace, name="turn")[0]
    request = stage.spans(1, target="otlp", trace_id=trace, name="POST")[0]
    assert request["parent_id"] == parent
    assert request["kind"] == "server"
    assert request["attributes"]["http.route"] == "/api/v1/messages"
    assert request["attributes"]["http.response.status_code"] == 200
    assert turn["parent_id"] == request["span_id"]
    assert turn["attributes"]["kefu.turn.id"] == answer["turn_id"]


def test_a_delivery_is_a_part_of_its_turns_trace(stage: Stage) -> None:
    chat = f"w{secrets.token_hex(6)}"
    stage.sandbox.say(chat, ASKED, wait=30)
    stage.sandbox.chat(chat, at_least=1, wait=30)
    sent = stage.spans(1, target="otlp", name="send webhook")[-1]
    assert sent["kind"] == "producer"
    assert sent["attributes"]["kefu.delivery.outcome"] == "delivered"
    turn = stage.spans(1, target="otlp", name="turn", trace_id=sent["trace_id"])[0]
    assert turn["attributes"]["kefu.turn.id"] == sent["attributes"]["kefu.turn.id"]


def test_a_tool_that_is_called_from_outside_is_a_part_of_the_request(stage: Stage) -> None:
    trace = secrets.token_hex(16)
    answered = httpx.post(
        f"{stage.service.url}/api/tools/list_handoffs",
        json={},
        headers={"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"},
        timeout=30.0,
        trust_env=False,
    )
    assert answered.status_code == 200, answered.text
    tool = stage.spans(1, target="otlp", trace_id=trace, name="execute_tool list_handoffs")[0]
    request = stage.spans(1, target="otlp", trace_id=trace, name="POST")[0]
    assert tool["parent_id"] == request["span_id"]
    assert tool["attributes"]["gen_ai.tool.name"] == "list_handoffs"


def test_log_lines_of_a_turn_carry_its_trace(stage: Stage) -> None:
    stage.sandbox.fault("model/deepseek", "status", count=8, status=500)
    answer = stage.say("家用充电桩的安装要多长时间呀")
    stage.sandbox.clear_faults()
    trace = f"{trace_number(answer['turn_id']):032x}"
    chat = stage.spans(1, target="otlp", trace_id=trace, name=CHAT)[0]
    assert chat["is_error"]
    assert chat["attributes"]["error.type"] == "server"
    assert chat["message"] == ""
    lines = [line for line in stage.service.log().splitlines() if "deepseek failed" in line]
    assert lines
    assert f"trace_id={trace}" in lines[-1]


# Without a service


def test_without_words_in_traces_none_leave(shared_sandbox: SandboxServer) -> None:
    before = len(shared_sandbox.get("/_sandbox/otlp/spans")["spans"])
    tracing = OtelTracing(
        [Target("otlp", f"{shared_sandbox.url}/otlp/v1/traces")],
        Metrics(),
        service="kefu",
        texts=False,
    )
    with tracing.root("turn", {"kefu.channel": "web"}, of="t_1") as span:
        span.say("gen_ai.input.messages", [("user", ASKED)])
    tracing.flush()
    found = shared_sandbox.get("/_sandbox/otlp/spans", at_least=before + 1, wait=30)["spans"]
    assert found[-1]["attributes"] == {"kefu.channel": "web"}
    assert found[-1]["trace_id"] == f"{trace_number('t_1'):032x}"


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_dead_collector_costs_a_turn_nothing_and_the_end_seconds(
    hangs: bool, shared_sandbox: SandboxServer
) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1/traces"
    if hangs:
        shared_sandbox.fault("otlp", "hang")
        url = f"{shared_sandbox.url}/otlp/v1/traces"
    metrics = Metrics()
    tracing = OtelTracing(
        [Target("otlp", url)], metrics, service="kefu", texts=False, timeout_s=0.5
    )
    began = time.perf_counter()
    for number in range(5_000):
        with tracing.root("turn", {}, of=f"t_{number}"):
            pass
    each = (time.perf_counter() - began) / 5_000
    await tracing.aclose()
    assert time.perf_counter() - began < 15.0
    assert each < 0.002
    shared_sandbox.clear_faults("otlp")
    sample = metrics.registry.get_sample_value
    lost = [
        sample("kefu_trace_spans_total", {"target": "otlp", "outcome": outcome}) or 0.0
        for outcome in ("failed", "dropped")
    ]
    assert 0 < sum(lost) <= 5_000
    assert sample("kefu_trace_spans_total", {"target": "otlp", "outcome": "sent"}) is None


def test_where_traces_go_nowhere_nothing_of_them_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from engine.bootstrap import build\n"
        "from engine.settings import load_settings\n"
        f"kefu = build(load_settings(env_files=None, data_dir={str(tmp_path)!r}))\n"
        "assert not kefu.tracing.on\n"
        "assert 'engine.otel' not in sys.modules\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.exporter')]\n"
        "kefu.engine.database.close()\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"otel_endpoint": "http://c:4318"}, ["http://c:4318/v1/traces"]),
        ({"otel_traces_endpoint": "http://c:4318/x"}, ["http://c:4318/x"]),
        ({"otel_endpoint": "http://c:4318", "otel_sdk_disabled": True}, []),
        ({"langfuse_public_key": "pk"}, []),
        (
            {"langfuse_public_key": "pk", "langfuse_secret_key": "sk", "langfuse_host": "http://f"},
            ["http://f/api/public/otel/v1/traces"],
        ),
        ({"langsmith_api_key": "k"}, []),
        (
            {"langsmith_api_key": "k", "langsmith_tracing": True},
            ["https://api.smith.langchain.com/otel/v1/traces"],
        ),
    ],
)
def test_settings_say_where_traces_go(given: dict[str, Any], expected: list[str]) -> None:
    settings = load_settings(env_files=None, **given)
    assert [one.url for one in targets(settings)] == expected
    if not expected:
        assert build_tracing(settings, Metrics()) is NO_TRACING


def test_keys_of_targets_are_not_shown() -> None:
    settings = load_settings(
        env_files=None, langsmith_api_key="very-secret-key", langsmith_tracing=True
    )
    assert "very-secret-key" not in repr(targets(settings))


def test_whatever_runs_the_graph_keeps_langchains_tracer_off() -> None:
    program = (
        "from langsmith.utils import tracing_is_enabled\n"
        "assert tracing_is_enabled()\n"
        "from engine.bootstrap import build_services\n"
        "from engine.settings import load_settings\n"
        "build_services(load_settings(env_files=None), retriever=None, models=None)\n"
        "assert not tracing_is_enabled()\n"
    )
    env = {"PYTHONPATH": str(ROOT), "LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "k"}
    subprocess.run([sys.executable, "-c", program], check=True, env=env)
