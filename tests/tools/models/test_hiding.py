"""Providers get placeholders, callers get what these stand for: whole, streamed and as JSON."""

import json

from tests.sandbox_server import SandboxServer
from tests.tools.models.conftest import OpenGateway, provider
from tools.models.calls import ChatMessage
from tools.models.gateway import ModelGateway

PEER = "model/one"
PHONE, NAME = "15400001234", "张若澜"
ASKED = (
    ChatMessage("system", "你是客服。"),
    ChatMessage("user", f"我叫{NAME}，电话{PHONE}，订单20261121001234567"),
)


def one(sandbox: SandboxServer, open_gateway: OpenGateway, reply: str) -> ModelGateway:
    sandbox.script(reply=reply, peer=PEER)
    return open_gateway(provider(sandbox, "one"))


async def test_a_provider_sees_placeholders_and_what_they_are(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    gateway = one(sandbox_server, open_gateway, "〔姓名1〕，您的电话是〔手机1〕")
    answer = await gateway.generate(ASKED, purpose="reply", deadline=20.0)
    (entry,) = sandbox_server.journal(PEER)
    told = json.dumps(entry, ensure_ascii=False)
    assert (PHONE in told, NAME in told) == (False, False)
    system, user = entry["body"]["messages"]
    assert "〔手机1〕" in system["content"]
    assert user["content"] == "我叫〔姓名1〕，电话〔手机1〕，订单20261121001234567"
    assert answer.text == f"{NAME}，您的电话是{PHONE}"


async def test_a_prompt_without_personal_data_goes_out_as_it_is(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    gateway = one(sandbox_server, open_gateway, "99 元[1]")
    asked = [ChatMessage("system", "你是客服。"), ChatMessage("user", "帆布包多少钱")]
    await gateway.generate(asked, purpose="reply", deadline=20.0)
    (entry,) = sandbox_server.journal(PEER)
    assert [one["content"] for one in entry["body"]["messages"]] == ["你是客服。", "帆布包多少钱"]


async def test_a_name_that_the_caller_knows_is_hidden_wherever_it_stands(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    gateway = one(sandbox_server, open_gateway, "〔姓名1〕您好")
    asked = [ChatMessage("user", "【客户称呼】雨后的小明")]
    answer = await gateway.generate(asked, purpose="reply", deadline=20.0, names=("雨后的小明",))
    (entry,) = sandbox_server.journal(PEER)
    assert "雨后的小明" not in json.dumps(entry, ensure_ascii=False)
    assert answer.text == "雨后的小明您好"


async def test_pieces_of_a_stream_are_restored_although_they_cut_placeholders(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    gateway = one(sandbox_server, open_gateway, "您的电话〔手机1〕尾号〔手机1尾号〕，〔姓名1〕")
    pieces: list[str] = []

    async def on_token(piece: str) -> None:
        pieces.append(piece)

    answer = await gateway.generate(ASKED, purpose="reply", deadline=20.0, on_token=on_token)
    assert answer.text == "".join(pieces) == f"您的电话{PHONE}尾号1234，{NAME}"
    assert len(pieces) > 2


async def test_an_answer_that_begins_anew_takes_nothing_from_the_one_before(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    sandbox_server.script(reply="您的〔手机", peer=PEER)
    sandbox_server.script(reply="电话是〔手机1〕", peer="model/two")
    sandbox_server.fault(PEER, "cut_stream", chunks=2)
    gateway = open_gateway(provider(sandbox_server, "one"), provider(sandbox_server, "two"))
    said: list[str] = []

    async def on_token(piece: str) -> None:
        said.append(piece)

    async def on_restart() -> None:
        said.clear()

    answer = await gateway.generate(
        ASKED, purpose="reply", deadline=20.0, on_token=on_token, on_restart=on_restart
    )
    assert answer.text == "".join(said) == f"电话是{PHONE}"


async def test_json_stays_json_whatever_is_put_back(
    sandbox_server: SandboxServer, open_gateway: OpenGateway
) -> None:
    reply = json.dumps({"who": "〔姓名1〕", "all": ["〔手机1〕", 1]}, ensure_ascii=False)
    gateway = one(sandbox_server, open_gateway, reply)
    asked = [ChatMessage("user", f'json: 我是 O"Neil\\，电话{PHONE}')]
    answer = await gateway.generate(
        asked, purpose="classify", deadline=20.0, json_mode=True, names=('O"Neil\\',)
    )
    assert json.loads(answer.text) == {"who": 'O"Neil\\', "all": [PHONE, 1]}
