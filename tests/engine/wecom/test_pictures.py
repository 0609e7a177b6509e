"""Pictures to customers of customer service: shown as such, once, and never lost."""

import asyncio
import time
from typing import Any

import pytest

from domain.errors import KefuError, NotFound, PeerRejected
from engine.wecom.kf_words import part_msgids
from storage.clock import iso
from tests.engine.wecom.acting import dead, due, met, put, put_all, question
from tests.engine.wecom.desk import Desk
from tests.sandbox.wecom import KF, PNG
from tests.sandbox_server import SandboxServer

URL = "https://x.example/a.png"
SHOWN = "图.png https://x.example/a.png"
AT = "2026-01-01T00:00:00+00:00"
UPLOAD = "media/upload"


async def said(desk: Desk) -> list[dict[str, Any]]:
    """All that the customer sees of us but the first answer."""
    seen = await asyncio.to_thread(desk.wecom.chat, f"kf/{KF}/wmOne")
    return [one for one in seen if one["who"] == "service"][1:]


async def put_picture(desk: Desk, text: str = "", url: str = URL, **fields: Any) -> None:
    await put(desk, "wmOne", [text], type="image", url=url, name="图.png", **fields)


async def texts(desk: Desk) -> list[str]:
    return ["图" if one["msgtype"] == "image" else one["text"] for one in await said(desk)]


async def test_a_picture_is_shown_behind_its_words_under_an_id_of_its_own(desk: Desk) -> None:
    await met(desk)
    await put_picture(desk, "好了")
    await desk.answered("wmOne", 3)
    words, picture = await said(desk)
    assert (words["text"], picture["msgtype"]) == ("好了", "image")
    fetched = await asyncio.to_thread(desk.wecom.fetch, picture["content"]["media_id"])
    assert fetched.content == PNG
    ids = part_msgids("wmOne-好了", AT)
    assert words["msgid"] != picture["msgid"]
    assert {words["msgid"], picture["msgid"]} <= set(ids)
    (session,) = (await asyncio.to_thread(desk.wecom.sandbox.get, "/_sandbox/wecom/kf/sessions"))[
        "sessions"
    ]
    (window,) = await desk.process.rows("SELECT spent FROM reply_windows")
    assert session["sent"] == 3
    assert all(one in window["spent"] for one in ids[:1] + ids[-1:])


async def test_the_same_picture_is_uploaded_once_for_all_who_get_it(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    for customer in ("wmOne", "wmTwo"):
        await met(desk, customer)
        await put(desk, customer, [""], type="image", url=URL, name="图.png")
        await desk.answered(customer, 2)
    assert len(await asyncio.to_thread(lambda: sandbox_server.journal(kind=UPLOAD))) == 1


async def test_a_picture_whose_answer_was_lost_is_not_shown_twice(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await met(desk)
    sandbox_server.fault("wecom", "lost_answer", count=2, request_kind="kf/send_msg")
    await put_picture(desk, "好了")
    await desk.quiet()
    assert await texts(desk) == ["好了", "图"]
    assert await dead(desk) == []
    assert await desk.refused("quota") == 0


async def test_a_picture_that_the_platform_has_forgotten_is_uploaded_again(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await met(desk)
    refusal = {"errcode": 40007, "request_kind": "kf/send_msg", "count": 1}
    await asyncio.to_thread(desk.wecom.play, "errcode", refusal)
    await put_picture(desk)
    await desk.quiet()
    assert await texts(desk) == ["图"]
    assert len(await asyncio.to_thread(lambda: sandbox_server.journal(kind=UPLOAD))) == 2


async def test_a_picture_that_is_forgotten_twice_leaves_as_its_address(
    desk: Desk, sandbox_server: SandboxServer
) -> None:
    await met(desk)
    refusal = {"errcode": 40007, "request_kind": "kf/send_msg", "count": 2}
    await asyncio.to_thread(desk.wecom.play, "errcode", refusal)
    await put_picture(desk)
    await desk.quiet()
    assert await texts(desk) == [SHOWN]
    assert len(await asyncio.to_thread(lambda: sandbox_server.journal(kind=UPLOAD))) == 2


@pytest.mark.parametrize("refused", [40008, 95030])
async def test_a_picture_that_the_platform_does_not_show_leaves_as_its_address(
    desk: Desk, refused: int
) -> None:
    await met(desk)
    refusal = {"errcode": refused, "request_kind": "kf/send_msg", "count": 1}
    await asyncio.to_thread(desk.wecom.play, "errcode", refusal)
    await put_picture(desk)
    await desk.quiet()
    assert await texts(desk) == [SHOWN]
    assert await dead(desk) == []


@pytest.mark.parametrize(
    "found",
    [
        b"GIF89a" + bytes(60),
        PNG + bytes(10 << 20),
        NotFound("picture", "a" * 64),
        PeerRejected("picture", "410 gone"),
    ],
)
async def test_what_is_no_picture_for_customer_service_leaves_as_its_address(
    desk: Desk, found: bytes | KefuError
) -> None:
    await met(desk)
    desk.deliverables.pictures[URL] = found
    await put_picture(desk, "好了")
    await desk.quiet()
    assert await texts(desk) == ["好了", SHOWN]
    assert await dead(desk) == []


@pytest.mark.parametrize(("failures", "seen"), [(3, "图"), (None, SHOWN)])
async def test_an_upload_is_tried_again_and_given_up_for_the_address(
    desk: Desk, sandbox_server: SandboxServer, failures: int | None, seen: str
) -> None:
    await met(desk)
    sandbox_server.fault("wecom", "status", count=failures, request_kind=UPLOAD, status=503)
    await put_picture(desk, "好了")
    await desk.quiet()
    assert await texts(desk) == ["好了", seen]
    assert await dead(desk) == []
    assert await desk.refused() == 0


async def test_of_more_pictures_than_the_quota_allows_the_last_leave_together_as_addresses(
    desk: Desk,
) -> None:
    await met(desk)
    urls = [f"https://x.example/{number}.png" for number in range(5)]
    words = {"text": "完成了"}
    pictures = [{"type": "image", "text": "", "url": url, "name": "图"} for url in urls]
    await put_all(desk, "wmOne", [words, *pictures])
    await desk.quiet()
    seen = await texts(desk)
    assert seen[:2] == ["完成了", "图"]
    assert len(seen) == 3
    assert [url in seen[2] for url in urls] == [False, True, True, True, True]
    assert await dead(desk) == []
    assert await desk.refused() == 0


async def test_a_picture_for_which_there_is_no_room_leaves_as_its_address_with_its_words(
    desk: Desk,
) -> None:
    await met(desk)
    for number in range(2):
        await put(desk, "wmOne", [f"第{number}条"])
        await desk.quiet()
    await put_picture(desk, "好了")
    await desk.quiet()
    assert (await texts(desk))[-1] == f"好了\n{SHOWN}"
    assert await desk.refused() == 0


async def test_a_picture_leaves_no_place_for_what_is_still_being_composed_as_an_address(
    desk: Desk,
) -> None:
    await met(desk)
    await put(desk, "wmOne", ["第0条"])
    await desk.quiet()
    # As while the customer's next message is being answered.
    await due(desk, time.time() + 3_600)
    await put_picture(desk, at=iso(time.time()))
    await desk.process.until(lambda: _count(desk, 2))
    await put(desk, "wmOne", ["还有一条"], at=iso(time.time()))
    await due(desk, None)
    await desk.quiet()
    assert await texts(desk) == ["第0条", SHOWN, "还有一条"]
    assert await dead(desk) == []


async def _count(desk: Desk, count: int) -> bool:
    return len(await said(desk)) == count


async def test_a_picture_that_fails_later_is_a_dead_letter_and_can_be_sent_again(
    desk: Desk,
) -> None:
    await met(desk)
    desk.wecom.set("kf/settings", fail_rate=1.0, fail_type=10, fail_after_s=0.05)
    await put_picture(desk)

    async def failed() -> bool:
        await desk.ring()
        return bool(await dead(desk))

    await desk.process.until(failed)
    desk.wecom.set("kf/settings", fail_rate=0.0)
    await desk.say("wmOne", question("乙"))
    await desk.answered("wmOne", 2)
    (row,) = await desk.process.rows("SELECT id FROM outbox WHERE status = 'dead'")
    await desk.process.engine.resend(row["id"], actor="小王")
    await desk.quiet()
    assert (await texts(desk))[-1] == "图"
