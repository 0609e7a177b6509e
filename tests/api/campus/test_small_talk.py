"""Small talk with Qingyunke through the whole service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.service import Service, running_service
from tests.sandbox_server import SandboxServer


@pytest.fixture
def talkative(
    tmp_path: Path, knowledge_folder: Path, sandbox_server: SandboxServer
) -> Iterator[Service]:
    url = f"{sandbox_server.url}/qingyunke/api.php"
    with running_service(tmp_path, knowledge=knowledge_folder, qingyunke_url=url) as running:
        yield running


def chat(service: Service, text: str) -> dict[str, object]:
    body = {"user_id": "talker", "msg": text}
    answer: dict[str, object] = service.client.post("/api/ai_chat", json=body).json()
    return answer


def test_it_talks_hears_nothing_personal_and_is_done_without(
    talkative: Service, sandbox_server: SandboxServer
) -> None:
    joke = chat(talkative, "我叫李雷，讲个笑话吧")
    assert "因为它在等太阳" in str(joke["ai_reply"])
    assert "{br}" not in str(joke["ai_reply"])
    assert "99" in str(chat(talkative, "商品多少钱？")["ai_reply"])
    heard = sandbox_server.get("/_sandbox/qingyunke/asked")["asked"]
    assert len(heard) == 1
    assert "李雷" not in heard[0]
    sandbox_server.fault("qingyunke", "status", status=503)
    answer = chat(talkative, "火星上有外星人吗")
    assert answer["need_transfer"] is True


def test_it_is_off_unless_it_is_set(campus: Service, sandbox_server: SandboxServer) -> None:
    assert campus.kefu.services.chatter is None
    assert chat(campus, "讲个笑话")["decision"] == "chat"
    assert sandbox_server.journal("qingyunke") == []
