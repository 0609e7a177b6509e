"""POST /api/ai_chat, and all of the campus surface."""

import time
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from api.campus import custom_qa, service
from api.campus.records import last_records
from api.campus.schemas import CampusError, ChatAnswer, ChatRequest
from api.dependencies import TheKefu
from api.envelopes import Json
from domain.ids import new_message_id
from domain.messages import InboundMessage
from engine.desk.campus import CAMPUS

ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": CampusError} for code in (400, 401, 403, 404, 409, 413, 415, 422, 429, 503)
}
router = APIRouter(prefix="/api", tags=["campus"], responses=ERRORS)


@router.post("/ai_chat", response_model=ChatAnswer)
async def ai_chat(body: ChatRequest, kefu: TheKefu) -> Response:
    """A user's message in, the reply and the last records of the talk out."""
    message = InboundMessage(
        channel=CAMPUS,
        account=CAMPUS,
        channel_message_id=body.msg_id or new_message_id(),
        chat_id=body.user_id,
        sender_id=body.user_id,
        text=body.msg,
        sent_at=time.time(),
        route="poll",
    )
    answer = await kefu.engine.ask(message)
    records = await last_records(kefu, message.conversation)
    place = await kefu.campus_desk.place_in(message.conversation)
    return Json(
        {
            "code": 200,
            "ai_reply": answer["content"],
            "need_transfer": answer["action"] == "escalate",
            "chat_records": records,
            "mode": "human" if place is not None and place.status == "taken" else "bot",
            "queue_num": place.number if place is not None else None,
            "service_status": kefu.campus_desk.status,
            "confidence": answer["confidence"],
            "decision": answer["decision"],
            "evidence": answer["evidence"],
            "quote": answer["quote"],
            "message_id": message.channel_message_id,
            "duplicate": answer["duplicate"],
        }
    )


for _part in (service.router, custom_qa.router):
    router.include_router(_part)
