import asyncio
import json
import time

import httpx
import pytest

from tests.sandbox_server import JsonObject, SandboxServer

AUTH = {"authorization": "Bearer sk-test"}
ASK: JsonObject = {"model": "m", "messages": [{"role": "user", "content": "你好"}]}


def ask(sandbox: SandboxServer, name: str | None = None, **fields: object) -> httpx.Response:
    url = sandbox.model_url(name) + "/chat/completions"
    return sandbox.client.post(url, json=ASK | fields, headers=AUTH, timeout=10)


def notify(sandbox: SandboxServer, notice_id: str) -> httpx.Response:
    body = {"notice_id": notice_id, "title": "转人工", "text": "客户要求人工"}
    return sandbox.client.post(sandbox.staff_url, json=body, timeout=10)


def test_refused_request_gets_no_answer_and_has_no_effect(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("staff", "refuse", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        notify(sandbox_server, "n1")
    assert sandbox_server.notices() == []
    (entry,) = sandbox_server.journal("staff")
    assert (entry["fault"], entry["status"], entry["answered"]) == ("refuse", None, False)
    assert entry["body"]["notice_id"] == "n1"


def test_lost_answer_leaves_the_effect_and_the_retry_is_a_duplicate(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.fault("staff", "lost_answer", count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        notify(sandbox_server, "n1")
    assert [notice["notice_id"] for notice in sandbox_server.notices()] == ["n1"]
    assert notify(sandbox_server, "n1").json() == {"accepted": True, "duplicate": True}
    first, second = sandbox_server.journal("staff")
    assert (first["status"], first["answered"], first["accepted"]) == (200, False, True)
    assert (second["duplicate"], second["answered"]) == (True, True)
    assert sandbox_server.notices()[0]["received"] == 2


def test_status_fault_gives_status_headers_and_body_as_ordered(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.fault(
        "model", "status", status=429, headers={"Retry-After": "7"}, body={"error": {"code": "x"}}
    )
    answer = ask(sandbox_server)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json() == {"error": {"code": "x"}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "authentication_error"),
        (402, "insufficient_balance"),
        (429, "rate_limit_error"),
        (500, "server_error"),
    ],
)
def test_status_fault_without_body_has_the_shape_of_the_provider(
    sandbox_server: SandboxServer, status: int, kind: str
) -> None:
    sandbox_server.fault("model", "status", status=status)
    answer = ask(sandbox_server)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == kind


@pytest.mark.parametrize("status", [204, 304])
def test_status_without_a_body_leaves_the_connection_usable(
    sandbox_server: SandboxServer, status: int
) -> None:
    sandbox_server.fault("model", "status", count=1, status=status)
    url = sandbox_server.model_url() + "/chat/completions"
    with httpx.Client(headers=AUTH) as client:
        assert client.post(url, json=ASK).status_code == status
        assert client.post(url, json=ASK).status_code == 200


def test_body_of_a_status_fault_is_any_json(sandbox_server: SandboxServer) -> None:
    huge = {"n": 10**30, "text": "您好"}
    sandbox_server.fault("model", "status", body=huge, count=1)
    assert ask(sandbox_server).json() == huge
    sandbox_server.fault("model", "status", body="<html>Bad Gateway</html>", status=502)
    answer = ask(sandbox_server)
    assert (answer.status_code, answer.text) == (502, "<html>Bad Gateway</html>")
    assert answer.headers["content-type"].startswith("text/plain")


def test_fault_spends_its_count_and_starts_after_the_passes(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.fault("model", "status", count=2, status=503, after=1)
    assert [ask(sandbox_server).status_code for _ in range(4)] == [200, 503, 503, 200]
    assert sandbox_server.faults() == []


def test_faults_of_one_provider_do_not_touch_another(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("model/first", "status", status=500)
    answers = [ask(sandbox_server, name).status_code for name in ("first", "second", None)]
    assert answers == [500, 200, 200]


def test_fault_for_everyone_hits_every_peer(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("*", "status", status=503)
    assert ask(sandbox_server, "any").status_code == 503
    assert notify(sandbox_server, "n1").status_code == 503
    assert sandbox_server.notices() == []


def test_fault_may_be_limited_to_one_kind_of_request(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("model", "status", request_kind="embeddings")
    body = {"model": "e", "input": "充电桩"}
    url = sandbox_server.model_url() + "/embeddings"
    assert sandbox_server.client.post(url, json=body, headers=AUTH).status_code == 500
    assert ask(sandbox_server).status_code == 200


def test_rate_hits_about_its_share(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("model", "status", rate=0.5, status=500)
    with httpx.Client(headers=AUTH) as client:
        url = sandbox_server.model_url() + "/models"
        failed = sum(client.get(url).status_code == 500 for _ in range(200))
    # A fair coin leaves 65..135 of 200 once in about a million runs.
    assert 65 <= failed <= 135


def test_latency_delays_and_adds_to_another_fault(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("model", "latency", seconds=0.15)
    sandbox_server.fault("model", "latency", seconds=0.1, jitter=0.05)
    sandbox_server.fault("model", "status", status=500)
    started = time.perf_counter()
    assert ask(sandbox_server).status_code == 500
    assert time.perf_counter() - started >= 0.25
    (entry,) = sandbox_server.journal()
    assert 0.25 <= entry["delay_seconds"] <= 0.3
    assert entry["fault"] == "status"


def test_hanging_request_ends_when_the_client_leaves(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("model", "hang", count=1)
    url = sandbox_server.model_url() + "/chat/completions"
    with pytest.raises(httpx.ReadTimeout):
        sandbox_server.client.post(url, json=ASK, headers=AUTH, timeout=0.2)
    (entry,) = sandbox_server.journal("model", at_least=1, wait=5)
    assert (entry["fault"], entry["status"]) == ("hang", None)
    assert ask(sandbox_server).status_code == 200


def test_cut_body_is_shorter_than_its_content_length(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("model", "cut_stream", fraction=0.5)
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        ask(sandbox_server)


def test_cut_stream_ends_after_its_chunks_without_the_end_mark(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.fault("model", "cut_stream", chunks=2)
    url = sandbox_server.model_url() + "/chat/completions"
    lines: list[str] = []
    with (
        sandbox_server.client.stream(
            "POST", url, json=ASK | {"stream": True}, headers=AUTH
        ) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        lines.extend(line for line in answer.iter_lines() if line)
    assert answer.status_code == 200
    assert "data: [DONE]" not in lines


def test_cut_stream_with_more_chunks_than_there_are_still_ends_broken(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.fault("model", "cut_stream", chunks=10_000)
    with pytest.raises(httpx.RemoteProtocolError):
        ask(sandbox_server, stream=True)


def test_garbage_is_a_200_that_no_json_parser_takes(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("model", "garbage")
    answer = ask(sandbox_server)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_empty_model_answer_is_well_formed_but_says_nothing(
    sandbox_server: SandboxServer,
) -> None:
    sandbox_server.fault("model", "empty")
    assert ask(sandbox_server).json()["choices"][0]["message"]["content"] == ""


def test_empty_answer_elsewhere_has_no_body(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("staff", "empty")
    answer = notify(sandbox_server, "n1")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"peer": "model", "kind": "explode"}, 422, "explode"),
        ({"kind": "refuse"}, 422, "peer: Field required"),
        ({"peer": "nobody", "kind": "refuse"}, 404, "'nobody' is unknown"),
        (
            {"peer": "model/", "kind": "refuse"},
            404,
            "model, images, rerank, qingyunke, webhook, staff",
        ),
        ({"peer": "model", "kind": "latency", "params": {}}, 422, "seconds: Field required"),
        ({"peer": "model", "kind": "latency", "params": {"seconds": -1}}, 422, "seconds"),
        ({"peer": "model", "kind": "status", "params": {"status": 99}}, 422, "status"),
        ({"peer": "model", "kind": "status", "params": {"colour": 1}}, 422, "colour"),
        (
            {"peer": "model", "kind": "status", "params": {"headers": {"a": "\r\nb"}}},
            422,
            "headers",
        ),
        ({"peer": "model", "kind": "hang", "count": 0}, 422, "count"),
        ({"peer": "model", "kind": "hang", "rate": 1.5}, 422, "rate"),
        ({"peer": "staff", "kind": "duplicate"}, 422, "webhook"),
        ([], 422, ""),
    ],
)
def test_senseless_fault_is_refused_with_one_clear_line(
    sandbox_server: SandboxServer, body: object, status: int, said: str
) -> None:
    answer = sandbox_server.client.post(sandbox_server.url + "/_sandbox/faults", json=body)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    assert sandbox_server.faults() == []


def test_faults_are_listed_and_cleared_singly_by_peer_and_all(
    sandbox_server: SandboxServer,
) -> None:
    first = sandbox_server.fault("model", "hang", count=3)
    sandbox_server.fault("staff", "refuse")
    sandbox_server.fault("webhook", "refuse")
    listed = sandbox_server.faults()[0]
    assert (listed["id"], listed["left"], listed["hits"]) == (first, 3, 0)
    sandbox_server.delete(f"/_sandbox/faults/{first}")
    sandbox_server.clear_faults("staff")
    assert [fault["peer"] for fault in sandbox_server.faults()] == ["webhook"]
    sandbox_server.clear_faults()
    assert sandbox_server.faults() == []
    gone = sandbox_server.client.delete(f"{sandbox_server.url}/_sandbox/faults/{first}")
    assert gone.status_code == 404


async def test_hanging_requests_do_not_slow_others(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("model/stuck", "hang")
    async with httpx.AsyncClient(headers=AUTH, limits=httpx.Limits(max_connections=300)) as client:
        stuck_url = sandbox_server.model_url("stuck") + "/chat/completions"
        stuck = [asyncio.create_task(client.post(stuck_url, json=ASK)) for _ in range(100)]
        await asyncio.to_thread(sandbox_server.journal, "model/stuck", at_least=100, wait=20)
        answer = await client.get(sandbox_server.model_url() + "/models", timeout=5)
        assert answer.status_code == 200
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
