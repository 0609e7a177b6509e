"""A model that knows placeholders alone still speaks to its customer rightly."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.events import events, said
from tests.api.service import Service, running_service
from tests.sandbox_server import SandboxServer, sandbox_server, shared_sandbox
from tests.service import sample_data

__all__ = ["sandbox_server", "shared_sandbox"]

PEER = "model/deepseek"
LOW = {"answer_threshold": 0.0, "clarify_threshold": 0.0}
QUESTION = "帆布包有没有拉链"
ADDRESS = "临枫区文澜路478号2栋501室"
ASKED = f"{QUESTION}，张若澜 15400001234 浙江省杭州市{ADDRESS} 收"
_numbers = itertools.count(1)

SAID = [
    ("〔姓名1〕您好，帆布包有拉链和内袋[1]。", "张若澜您好，帆布包有拉链和内袋。"),
    ("帆布包有拉链和内袋[1]。收货地址是〔地址1〕。", f"帆布包有拉链和内袋。收货地址是{ADDRESS}。"),
    (
        "帆布包有拉链和内袋[1]。您的手机号是〔手机1〕。",
        "帆布包有拉链和内袋。您的手机号是15400001234。",
    ),
    (
        "帆布包有拉链和内袋[1]。您的手机号尾号是〔手机1尾号〕。",
        "帆布包有拉链和内袋。您的手机号尾号是1234。",
    ),
    ("【姓名1】您好，帆布包有拉链和内袋[1]。", "张若澜您好，帆布包有拉链和内袋。"),
]


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, shared_sandbox: SandboxServer
) -> Iterator[Service]:
    keys = {"deepseek_api_key": "sk-of-the-test", "sandbox_url": shared_sandbox.url}
    folder = tmp_path_factory.mktemp("replies")
    with running_service(folder, knowledge=sample_data(), **LOW, **keys) as service:
        yield service


@pytest.fixture
def service(running: Service, sandbox_server: SandboxServer) -> Service:
    """Its sandbox is emptied."""
    return running


def body(content: str) -> dict[str, Any]:
    name = f"r{next(_numbers)}"
    message = {"id": name, "chat_id": name, "sender": name, "content": content}
    message |= {"sender_name": "张若澜"}
    return {"agent_id": "tests", "message": message}


@pytest.mark.parametrize(("answer", "read"), SAID)
def test_the_customer_reads_what_the_placeholders_stand_for(
    service: Service, sandbox_server: SandboxServer, answer: str, read: str
) -> None:
    sandbox_server.script(QUESTION, answer, peer=PEER)
    response = service.client.post("/api/v1/messages", json=body(ASKED)).json()
    assert (response["source"], response["content"]) == ("model", read)


@pytest.mark.parametrize(("answer", "read"), SAID)
def test_so_does_who_watches_the_answer_come(
    service: Service, sandbox_server: SandboxServer, answer: str, read: str
) -> None:
    sandbox_server.script(QUESTION, answer, peer=PEER)
    with service.client.stream("POST", "/api/v1/messages/stream", json=body(ASKED)) as response:
        happened = list(events(response))
    assert happened[-1].data["content"] == read
    assert said(happened).replace("[1]", "") == read


def test_an_answer_with_a_number_that_the_customer_never_gave_is_not_sent(
    service: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(QUESTION, "帆布包有拉链[1]。请联系 15499999999。", peer=PEER)
    response = service.client.post("/api/v1/messages", json=body(ASKED)).json()
    assert response["source"] == "knowledge"
    assert "15499999999" not in response["content"]


def test_a_customer_cannot_have_anybodys_data_by_writing_a_placeholder(
    service: Service, sandbox_server: SandboxServer
) -> None:
    sandbox_server.script(QUESTION, "帆布包有拉链和内袋[1]。〔手机1〕", peer=PEER)
    response = service.client.post("/api/v1/messages", json=body(f"〔手机1〕，{QUESTION}")).json()
    (entry,) = sandbox_server.journal(PEER)
    assert "〔手机1〕，" not in entry["body"]["messages"][-1]["content"]
    assert response["content"] == "帆布包有拉链和内袋。手机号"
