"""Qingyunke over a real socket: its real form, and all that may be wrong with its answers."""

import httpx
import pytest

from domain.errors import PeerError, PeerRejected, PeerUnavailable
from tests.sandbox_server import SandboxServer
from tools.qingyunke.client import FAILURES, REST_S, Qingyunke, said_in


def address(server: SandboxServer) -> str:
    return f"{server.url}/qingyunke/api.php"


async def test_it_is_asked_as_documented_and_answers_without_markup(
    sandbox_server: SandboxServer,
) -> None:
    async with httpx.AsyncClient() as http:
        said = await Qingyunke(address(sandbox_server), http).say("好无聊 a&b=c")
    assert said == "那就陪我说说话吧\n我一直都在呢"
    (entry,) = sandbox_server.journal("qingyunke")
    assert entry["method"] == "GET"
    assert entry["query"].startswith("key=***&appid=0&msg=")
    assert sandbox_server.get("/_sandbox/qingyunke/asked") == {"asked": ["好无聊 a&b=c"]}


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>busy</html>",
        b"[]",
        b'{"result":0}',
        b'{"result":0,"content":5}',
        b'{"result":1,"content":"\xe5\x8f\x82\xe6\x95\xb0"}',
        b'{"content":"no result"}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(PeerRejected):
        said_in(answer)


def test_breaks_faces_and_tags_are_no_words() -> None:
    answer = '{"result":0,"content":"你好{br}<a href=\\"x\\">再见</a>{face:12}"}'
    assert said_in(answer.encode()) == "你好\n再见"


async def test_it_has_three_seconds_and_no_more(sandbox_server: SandboxServer) -> None:
    sandbox_server.fault("qingyunke", "hang")
    async with httpx.AsyncClient() as http:
        robot = Qingyunke(address(sandbox_server), http, timeout=0.05)
        with pytest.raises(PeerUnavailable, match="no answer in time"):
            await robot.say("在吗")


async def test_after_failures_it_is_left_alone_for_a_while(sandbox_server: SandboxServer) -> None:
    now = 0.0
    sandbox_server.fault("qingyunke", "status", status=500)
    async with httpx.AsyncClient() as http:
        robot = Qingyunke(address(sandbox_server), http, clock=lambda: now)
        for _ in range(FAILURES + 2):
            with pytest.raises(PeerError):
                await robot.say("在吗")
        assert len(sandbox_server.journal("qingyunke")) == FAILURES
        sandbox_server.clear_faults()
        now = REST_S
        assert await robot.say("讲个笑话")
