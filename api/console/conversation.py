"""One conversation: what was said, what is known, and what an agent may do about it."""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from api.console.failures import PageRoute
from api.console.reader import TheActor, TheReader
from api.console.rendering import see
from api.console.shell import shown
from api.console.words import instant_of
from api.dependencies import TheKefu
from api.desk.session import TheDesk
from api.fields import Identifier, OptionalText, Text
from api.knowledge.uploads import read_form
from api.orders.pictures import SAFE
from domain.desk import Agent, Mode, in_scope
from domain.errors import InvalidInput, NotFound
from domain.messages import Attachment
from engine.desk.views import ConversationView, View

CONVERSATIONS_PATH = "/desk/conversations"
SENT_PICTURES_PATH = "/desk/pictures"
sending = APIRouter(route_class=PageRoute, include_in_schema=False)
router = APIRouter(route_class=PageRoute, include_in_schema=False, prefix=CONVERSATIONS_PATH)
BESIDE = 40
Id = Annotated[str, Path(max_length=80)]
RowId = Annotated[int, Path(ge=1, le=2**62)]
_STORED = re.compile(r"(?:picture:|/pictures/)([0-9a-f]{64})")
_KINDS = {"user": "customer", "assistant": "bot", "staff": "staff"}


@dataclass(frozen=True, slots=True)
class Line:
    """An entry of the thread. ``kind``: customer, bot, staff, note or mark; ``what``: of a mark."""

    id: str
    kind: str
    at: float
    one: Any
    what: str = ""


@router.get("/{conversation}")
async def conversation_page(
    request: Request,
    desk: TheDesk,
    reader: TheReader,
    conversation: Id,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    view: View = "open",
) -> Response:
    after = await desk.newest_event()
    found = await desk.conversation(reader.agent, conversation, before=before)
    beside = await desk.queue(reader.agent, view=view, limit=BESIDE)
    canned = await desk.canned(reader.agent) if "say" in found.may else []
    agents = await desk.agents(reader.agent)
    turn = found.turns[-1] if found.turns else None
    return await shown(
        request,
        reader,
        "conversation.html",
        waiting=beside.counts["waiting"],
        c=found,
        lines=lines_of(found, first=before is None),
        turn=turn,
        found=beside,
        view=view,
        canned=canned,
        others=[one for one in agents if one.id != reader.id and _may_get(one, found)],
        names={one.id: one.name or one.id for one in agents},
        after=after,
        here=conversation,
        now=time.time(),
        link=picture_link(conversation),
        before=before,
    )


@router.get("/{conversation}/pictures/{sha256}")
async def picture(
    desk: TheDesk,
    kefu: TheKefu,
    reader: TheReader,
    conversation: Id,
    sha256: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
) -> Response:
    """A picture that the customer sent; also one of an older page, so any of the conversation's."""
    found = await desk.conversation(reader.agent, conversation, limit=200)
    urls = (each["url"] for message in found.messages for each in message.attachments)
    if not any(sha256 in url for url in urls):
        raise NotFound("sha256", sha256[:12])
    stored = await kefu.picture_desk.show(sha256)
    return Response(stored.data, media_type=stored.content_type, headers=SAFE)


@router.post("/{conversation}/take")
async def take(desk: TheDesk, reader: TheActor, conversation: Id) -> Response:
    await desk.take(reader.agent, conversation)
    return _back(conversation, "taken")


@router.post("/{conversation}/say")
async def say(
    desk: TheDesk,
    reader: TheActor,
    conversation: Id,
    text: Annotated[Text, Form()],
    message_id: Annotated[Identifier, Form()],
) -> Response:
    await desk.say(reader.agent, conversation, text, message_id=message_id)
    return _back(conversation)


@sending.post(SENT_PICTURES_PATH)
async def send_picture(
    request: Request,
    desk: TheDesk,
    kefu: TheKefu,
    reader: TheActor,
    conversation: Annotated[str, Query(max_length=80)],
    message_id: Annotated[Identifier, Query()],
) -> Response:
    """The file of a form, to the customer. One address for all, for its larger limit."""
    found = await desk.conversation(reader.agent, conversation, limit=1)
    if "say" not in found.may:
        raise InvalidInput("", "现在不能在这个会话里回复", status=409)
    form = await read_form(request)
    try:
        data = await asyncio.to_thread(form.files[0].take)
    finally:
        form.close()
    facts = await kefu.pictures.look(data, read_text=False)
    picture = Attachment("image", kefu.links.url(facts.sha256))
    await desk.say(reader.agent, conversation, "", message_id=message_id, attachments=[picture])
    return _back(conversation)


@router.post("/{conversation}/note")
async def note(
    desk: TheDesk, reader: TheActor, conversation: Id, text: Annotated[Text, Form()]
) -> Response:
    await desk.note(reader.agent, conversation, text)
    return _back(conversation, "noted")


@router.post("/{conversation}/transfer")
async def transfer(
    desk: TheDesk,
    reader: TheActor,
    conversation: Id,
    to: Annotated[str, Form(max_length=64)] = "",
    skill: Annotated[str, Form(max_length=64)] = "",
    note: Annotated[OptionalText, Form()] = "",
) -> Response:
    await desk.transfer(
        reader.agent, conversation, to=to.strip(), skill=skill.strip(), note=note.strip()
    )
    return _back(conversation, "transferred")


@router.post("/{conversation}/resolve")
async def resolve(
    desk: TheDesk,
    reader: TheActor,
    conversation: Id,
    outcome: Annotated[Literal["solved", "unsolved"], Form()] = "solved",
    ask_rating: Annotated[bool, Form()] = False,
) -> Response:
    await desk.resolve(reader.agent, conversation, outcome=outcome, ask_rating=ask_rating)
    return _back(conversation, "resolved")


@router.post("/{conversation}/reopen")
async def reopen(desk: TheDesk, reader: TheActor, conversation: Id) -> Response:
    await desk.reopen(reader.agent, conversation)
    return _back(conversation, "reopened")


@router.post("/{conversation}/mode")
async def set_mode(
    desk: TheDesk, reader: TheActor, conversation: Id, mode: Annotated[Mode, Form()]
) -> Response:
    await desk.set_mode(reader.agent, conversation, mode)
    return _back(conversation, "mode")


@router.post("/{conversation}/drafts/{draft}")
async def decide(
    desk: TheDesk,
    reader: TheActor,
    conversation: Id,
    draft: RowId,
    verdict: Annotated[Literal["approve", "discard"], Form()],
    text: Annotated[OptionalText, Form()] = "",
    original: Annotated[OptionalText, Form()] = "",
) -> Response:
    """``original``: as the draft was shown; another ``text`` is an edit of it."""
    if verdict == "approve" and text and text != original:
        await desk.decide_draft(reader.agent, draft, "edit", text)
    else:
        await desk.decide_draft(reader.agent, draft, verdict)
    return _back(conversation, "draft_" + verdict)


def _may_get(agent: Agent, found: ConversationView) -> bool:
    return agent.enabled and agent.acts and in_scope(agent.scopes, found.channel, found.account)


def _back(conversation: str, said: str = "") -> Response:
    return see(f"{CONVERSATIONS_PATH}/{conversation}", said)


def lines_of(found: ConversationView, *, first: bool) -> list[Line]:
    """Messages, notes and what happened between, by time; ``first``: the newest page."""
    lines = [
        Line(f"m{one.id}", _KINDS.get(one.role, "bot"), _seconds(one.at), one)
        for one in found.messages
    ]
    oldest = lines[0].at if lines and found.before is not None else 0.0
    newest = float("inf") if first or not lines else lines[-1].at
    beside = [Line(f"n{one.id}", "note", _seconds(one.at), one) for one in found.notes]
    hands = [*found.earlier, *([found.handoff] if found.handoff else [])]
    for one in hands:
        beside.append(Line(f"h{one.id}", "mark", _seconds(one.created_at), one, "queued"))
        if one.assigned_ts:
            beside.append(Line(f"a{one.id}", "mark", one.assigned_ts, one, "taken"))
        if one.resolved_ts:
            beside.append(Line(f"r{one.id}", "mark", one.resolved_ts, one, "resolved"))
    lines += [line for line in beside if oldest <= line.at <= newest]
    return sorted(lines, key=lambda line: line.at)


def picture_link(conversation: str) -> Any:
    """For templates: where one of the conversation's stored pictures is shown; "" for others."""

    def link(url: str) -> str:
        stored = _STORED.search(url)
        if stored is None:
            return ""
        return f"{CONVERSATIONS_PATH}/{conversation}/pictures/{stored.group(1)}"

    return link


def _seconds(at: str) -> float:
    found = instant_of(at)
    return found.timestamp() if found else 0.0
