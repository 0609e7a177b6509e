import httpx
import pytest

from sandbox.peers.rerank import overlap
from tests.sandbox_server import SandboxServer

AUTH = {"authorization": "Bearer sk-test"}
ASKED = {
    "model": "m",
    "query": "怎么退货",
    "documents": ["今天天气晴", "退货怎么申请", "怎么退款"],
    "top_n": 2,
}


def post(server: SandboxServer, body: object, headers: dict[str, str]) -> httpx.Response:
    return server.client.post(f"{server.rerank_url}/rerank", json=body, headers=headers)


def test_shared_characters_and_pairs_are_what_scores() -> None:
    assert overlap("怎么退货", "怎么退货") == 1.0
    assert overlap("怎么退货", "今天天气晴") == 0.0
    assert overlap("怎么退货", "退货怎么申请") > overlap("怎么退货", "怎么退款")
    assert overlap("？", "？") == 0.0


def test_the_best_come_first_and_no_more_than_asked_for(sandbox_server: SandboxServer) -> None:
    results = post(sandbox_server, ASKED, AUTH).json()["results"]
    assert [item["index"] for item in results] == [1, 2]
    assert results[0]["relevance_score"] > results[1]["relevance_score"] > 0.0


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [(ASKED, {}, 401), ({**ASKED, "documents": []}, AUTH, 422), ({"model": "m"}, AUTH, 422)],
)
def test_what_a_real_server_refuses_is_refused(
    sandbox_server: SandboxServer, body: object, headers: dict[str, str], status: int
) -> None:
    assert post(sandbox_server, body, headers).status_code == status


def test_its_answers_can_be_made_empty_wrong_or_late(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("rerank", "empty", count=1)
    assert post(sandbox_server, ASKED, AUTH).json()["results"] == []
    sandbox_server.fault("rerank", "status", count=1, status=503)
    assert post(sandbox_server, ASKED, AUTH).status_code == 503
    assert len(sandbox_server.journal("rerank", kind="rerank")) == 2
