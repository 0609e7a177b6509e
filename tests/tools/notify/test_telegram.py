"""Notices through a Telegram bot, over real sockets (reference others.md, 1)."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import PeerError, PeerRejected, PeerUnavailable
from sandbox.peers.telegram import markdown_shown
from tests.sandbox_server import JsonObject, SandboxServer
from tests.tools.notify.notices import AT, HOSTILE, NOTICE, SEEN, notice
from tests.tools.webhook.peer_server import Answer, hang_up, never, running_peer, status
from tools.notify.telegram import MAX_TEXT_UNITS, TelegramBot, markdown, marked, quiet
from tools.notify.wording import utf16_units

TOKEN = "8518:AAH-secret_of_the_bot"
TAKEN = status(200, '{"ok":true,"result":{"message_id":1}}')


def refusal(code: int, description: str, **parameters: object) -> Answer:
    body: JsonObject = {"ok": False, "error_code": code, "description": description}
    return status(code, json.dumps(body | ({"parameters": parameters} if parameters else {})))


def bot_of(sandbox: SandboxServer, http: httpx.AsyncClient, chat: str = "42") -> TelegramBot:
    return TelegramBot(f"{sandbox.url}/telegram", TOKEN, chat, http)


def shown(sandbox: SandboxServer) -> list[JsonObject]:
    return list(sandbox.get("/_sandbox/telegram/notices")["notices"])


def test_the_reference_s_vector_is_escaped() -> None:
    assert markdown("价格: 1.5元 (含税)!") == r"价格: 1\.5元 \(含税\)\!"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_whatever_is_escaped_is_shown_as_it_was(text: str) -> None:
    assert markdown_shown(markdown(text)) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=6_000))
def test_a_notice_of_any_text_can_be_read_and_fits(text: str) -> None:
    assert utf16_units(markdown_shown(marked(notice(text)))) <= MAX_TEXT_UNITS


async def test_the_chat_reads_the_seed_s_words(sandbox_server: SandboxServer) -> None:
    async with httpx.AsyncClient() as http:
        await bot_of(sandbox_server, http, "8518085684").send(NOTICE, AT)
    (found,) = shown(sandbox_server)
    assert (found["to"], found["text"]) == ("8518085684", SEEN)
    assert found["sent"]["parse_mode"] == "MarkdownV2"
    assert found["sent"]["text"].startswith("*🚨 需要人工介入*")
    assert found["sent"]["link_preview_options"] == {"is_disabled": True}


async def test_a_customer_s_words_format_nothing_and_mention_nobody(
    sandbox_server: SandboxServer,
) -> None:
    async with httpx.AsyncClient() as http:
        await bot_of(sandbox_server, http, "-100123").send(notice(HOSTILE), AT)
    (found,) = shown(sandbox_server)
    assert found["text"].removeprefix("🚨 需要人工介入\n\n") == quiet(HOSTILE)
    assert "@desk" not in found["text"]
    assert found["text"].replace("\u2060", "").endswith(HOSTILE)


async def test_a_long_notice_has_just_what_a_message_may_have(
    sandbox_server: SandboxServer,
) -> None:
    async with httpx.AsyncClient() as http:
        await bot_of(sandbox_server, http).send(notice("好🎉!" * 3_000), AT)
    (found,) = shown(sandbox_server)
    assert MAX_TEXT_UNITS - 1 <= utf16_units(found["text"]) <= MAX_TEXT_UNITS
    assert found["text"].endswith("…")


async def test_marks_that_are_not_understood_are_left_out() -> None:
    answers = (refusal(400, "Bad Request: can't parse entities: x"), TAKEN)
    async with running_peer(*answers) as peer, httpx.AsyncClient() as http:
        await TelegramBot(peer.url, TOKEN, "42", http).send(notice("1.5元"), AT)
    first, second = (json.loads(body) for _, body in peer.requests)
    assert first["text"].endswith(r"1\.5元")
    assert second["text"].endswith("1.5元")
    assert "parse_mode" not in second


async def test_a_group_that_has_moved_is_followed_and_remembered() -> None:
    moved = refusal(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1001)
    async with running_peer(moved, TAKEN) as peer, httpx.AsyncClient() as http:
        bot = TelegramBot(peer.url, TOKEN, "-1", http)
        await bot.send(NOTICE, AT)
        await bot.send(NOTICE, AT)
    assert [json.loads(body)["chat_id"] for _, body in peer.requests] == [-1, -1001, -1001]


@pytest.mark.parametrize(
    ("answer", "error", "retry_after", "says"),
    [
        (refusal(429, "Too Many Requests: retry after 5", retry_after=5), PeerUnavailable, 5, "5"),
        (refusal(429, "Too Many Requests"), PeerUnavailable, None, "Too Many"),
        (refusal(429, "x", retry_after="soon"), PeerUnavailable, None, "x"),
        (refusal(502, "Bad Gateway"), PeerUnavailable, None, "Bad Gateway"),
        (status(502, "<html>"), PeerUnavailable, None, "502"),
        (status(200, "<html>"), PeerUnavailable, None, "not Telegram's"),
        (status(200, "[]"), PeerUnavailable, None, "not Telegram's"),
        (hang_up, PeerUnavailable, None, "connection"),
        (never, PeerUnavailable, None, "in time"),
        (refusal(401, "Unauthorized"), PeerRejected, None, "TELEGRAM_TOKEN"),
        (refusal(404, "Not Found"), PeerRejected, None, "TELEGRAM_TOKEN"),
        (refusal(400, "Bad Request: chat not found"), PeerRejected, None, "NOTIFICATION_CHANNEL"),
        (refusal(403, "Forbidden: bot was blocked by the user"), PeerRejected, None, "屏蔽"),
        (
            refusal(403, "Forbidden: bot can't initiate conversation with a user"),
            PeerRejected,
            None,
            "先给机器人",
        ),
        (refusal(400, "Bad Request: message is too long"), PeerRejected, None, "too long"),
        (status(404, "no such page"), PeerRejected, None, "404"),
    ],
)
async def test_an_answer_says_whether_to_try_again(
    answer: Answer, error: type[PeerError], retry_after: float | None, says: str
) -> None:
    async with running_peer(answer) as peer, httpx.AsyncClient() as http:
        with pytest.raises(error, match=says) as raised:
            await TelegramBot(peer.url, TOKEN, "42", http, timeout=0.5).send(NOTICE, AT)
    assert raised.value.peer == "telegram"
    assert getattr(raised.value, "retry_after", None) == retry_after


async def test_no_error_shows_the_token_whatever_the_peer_repeats() -> None:
    repeats = f"POST /bot{TOKEN}/sendMessage"
    answers = (refusal(400, repeats), refusal(500, repeats), status(404, repeats), hang_up)
    async with running_peer(*answers) as peer, httpx.AsyncClient() as http:
        for _ in answers:
            with pytest.raises(PeerError) as raised:
                await TelegramBot(peer.url, TOKEN, "42", http).send(NOTICE, AT)
            error: BaseException | None = raised.value
            while error is not None and not error.__suppress_context__:
                assert TOKEN not in str(error)
                error = error.__cause__ or error.__context__


async def test_the_sandbox_s_refusals_are_understood(sandbox_server: SandboxServer) -> None:
    sandbox_server.put("/_sandbox/telegram/chats", {"blocked": [7], "moved": {"-1": -1001}})
    sandbox_server.put("/_sandbox/telegram/limit", {"per_minute": 1})
    async with httpx.AsyncClient() as http:
        await bot_of(sandbox_server, http, "-1").send(NOTICE, AT)
        with pytest.raises(PeerRejected, match="屏蔽"):
            await bot_of(sandbox_server, http, "7").send(NOTICE, AT)
        with pytest.raises(PeerUnavailable) as often:
            await bot_of(sandbox_server, http, "-1001").send(NOTICE, AT)
        sandbox_server.put("/_sandbox/telegram/token", {"token": "1000001:another-token"})
        with pytest.raises(PeerRejected, match="TELEGRAM_TOKEN"):
            await bot_of(sandbox_server, http).send(NOTICE, AT)
    assert often.value.retry_after == 60
    assert [one["to"] for one in shown(sandbox_server)] == ["-1001"]
