"""The human desk: waiting for a person, a person's replies, and the records of a talk."""

from datetime import UTC, datetime, tzinfo
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.campus import words
from api.campus.records import WHOLE, as_records, last_records
from api.campus.schemas import (
    QueueState,
    Records,
    ServiceReplied,
    ServiceReply,
    Transferred,
    TransferRequest,
)
from api.dependencies import TheCaller, TheKefu
from api.envelopes import Json
from api.fields import Identifier
from domain.errors import NotFound
from storage import history
from storage.clock import iso
from tools.registry import NotAllowed, Role

router = APIRouter()
_PEOPLE = frozenset({Role.AGENT, Role.ADMIN})
_EARLIEST, _LATEST = "0000", "9999"


@router.post("/transfer_service", response_model=Transferred)
async def transfer_service(body: TransferRequest, kefu: TheKefu) -> Response:
    """A place in the queue of the human desk; asked again, the place that one has.

    429 while MAX_QUEUE_LENGTH customers wait.
    """
    desk = kefu.campus_desk
    place = await desk.wait(body.user_id)
    return Json(
        {
            "code": 200,
            "msg": words.of_place(place, desk.status),
            "queue_num": place.number,
            "service_status": desk.status,
        }
    )


@router.get("/transfer_service", response_model=QueueState)
async def queue_state(
    kefu: TheKefu, user_id: Annotated[Identifier | None, Query()] = None
) -> Response:
    """Whether the desk is online, how many wait, and the place of ``user_id``."""
    desk = kefu.campus_desk
    place = await desk.place(user_id) if user_id is not None else None
    return Json(
        {
            "code": 200,
            "msg": words.of_place(place, desk.status) if place else words.NOT_WAITING,
            "queue_num": place.number if place is not None else None,
            "service_status": desk.status,
            "queue_length": await desk.waiting(),
            "max_queue_length": desk.policy.max_waiting,
        }
    )


@router.post("/service_reply", response_model=ServiceReplied)
async def service_reply(body: ServiceReply, kefu: TheKefu, caller: TheCaller) -> Response:
    """A person answers ``user_id``: the bot keeps quiet from then on, until ``end``.

    ``user_id`` may also be a contact id (channel:account:sender) of another channel.
    """
    if caller.role not in _PEOPLE:
        raise NotAllowed("", words.STAFF_ONLY)
    who = await kefu.campus_desk.say(
        body.user_id,
        body.service_msg,
        by=caller.name,
        message_id=body.msg_id or "",
        ends=body.end,
    )
    return Json(
        {
            "code": 200,
            "service_msg": body.service_msg,
            "chat_records": await last_records(kefu, who.conversation_id, limit=WHOLE),
            "delivery": "push" if who.channel in kefu.campus_desk.policy.channels else "poll",
            "queue_length": await kefu.campus_desk.waiting(),
        }
    )


@router.get("/chat_records", response_model=Records)
async def chat_records(
    kefu: TheKefu,
    user_id: Annotated[Identifier, Query()],
    since: Annotated[datetime | None, Query(description="From this time on.")] = None,
    until: Annotated[datetime | None, Query(description="Before this time.")] = None,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=WHOLE)] = 20,
) -> Response:
    """The talk with one user, page 1 being the newest, each page oldest first."""
    who = await kefu.campus_desk.customer(user_id)
    if who is None:
        raise NotFound("user_id", user_id)
    zone = kefu.settings.zone()
    total, rows = await kefu.engine.database.read(
        lambda c: history.messages_between(
            c,
            who.conversation_id,
            since=_bound(since, zone) or _EARLIEST,
            until=_bound(until, zone) or _LATEST,
            limit=limit,
            offset=(page - 1) * limit,
        )
    )
    records = as_records(kefu, rows[::-1])
    return Json(
        {"code": 200, "total": total, "page": page, "limit": limit, "chat_records": records}
    )


def _bound(moment: datetime | None, zone: tzinfo) -> str:
    """As rows carry it; a time without a zone is the service's."""
    if moment is None:
        return ""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    seconds = (aware - datetime.fromtimestamp(0, UTC)).total_seconds()
    return iso(min(max(seconds, 0.0), 253_402_300_000.0))
